"""The method: draw loss parameters, condition on them, weight, average last.

Read in this order: `schedule`, `base`, `parameters`, `mixture`, `joint_base`,
`joint`, `objective`, `model`, `steps`. The others serve Keras.
"""
