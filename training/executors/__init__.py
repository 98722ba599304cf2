"""Where the runs of a study or the workers of a search run.

Three executors with one interface, which `base.py` says: `local`, processes
of this machine; `ray`, tasks of a Ray cluster; `slurm`, jobs by submitit. All
read and write the same run directories, so that several machines need storage
that they share, under the same paths.
"""
