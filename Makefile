# The commands make .venv on their first run and reuse it afterwards. Each
# installs what it needs: a demo no tests, the page no tables.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
TRAINING := $(VENV)/training
SERVING := $(VENV)/serving
ALL := $(VENV)/installed
INSTALL := $(RUN) -m pip install --quiet --disable-pip-version-check

ARGS ?=

.PHONY: demo serve test check clean help

help:
	@echo "make demo   train, evaluate and draw the default model (minutes)"
	@echo "make serve  show the newest export on a page; else the demo's model, or"
	@echo "            the one that comes trained"
	@echo "            (make serve ARGS='--page-port 7861'; ARGS=--help for all)"
	@echo "make test   lint and test (minutes)"
	@echo "make check  the slow tests: processes, wheel, browser, studies"
	@echo "make clean  remove .venv and runs/demo"

demo: $(TRAINING)
	$(RUN) -m training.demo

# Of models/ the newest; it exports one where there is none.
serve: $(TRAINING) $(SERVING)
	$(RUN) -m serving.demo $(ARGS)

test: $(ALL)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(RUN) -m pytest -n 2 --dist loadfile -m "not slow"

check: $(ALL)
	$(RUN) -m pytest -n 2 --dist loadfile -m slow

# Of this folder, the library and the extra that the file is called by.
$(TRAINING) $(SERVING): pyproject.toml | $(VENV)/made
	$(INSTALL) --editable '.[$(@F)]'
	@touch $@

$(ALL): requirements.txt | $(VENV)/made
	$(INSTALL) -r $<
	@touch $@

$(VENV)/made:
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info[:2] <= (3, 13); sys.exit(0 if ok else "error: expected Python 3.11 to 3.13, received: " + sys.version.split()[0] + "; choose one with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	@touch $@

# One pip at a time.
.NOTPARALLEL:

clean:
	rm -rf $(VENV) runs/demo
