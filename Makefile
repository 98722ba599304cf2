# The commands make .venv on their first run and reuse it afterwards.
PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/installed
RUN := $(VENV)/bin/python

ARGS ?=

.PHONY: demo serve test check clean help

help:
	@echo "make demo   train, evaluate and draw the default model (minutes)"
	@echo "make serve  show the newest export on a page, after a demo if need be"
	@echo "            (make serve ARGS='--page-port 7861'; ARGS=--help for all)"
	@echo "make test   lint and test (minutes)"
	@echo "make check  the slow tests: processes, wheel, browser, studies"
	@echo "make clean  remove .venv and runs/demo"

demo: $(INSTALLED)
	$(RUN) -m training.demo

serve: $(INSTALLED)
	$(RUN) -m serving.demo $(ARGS)

test: $(INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(RUN) -m pytest -n 2 --dist loadfile -m "not slow"

check: $(INSTALLED)
	$(RUN) -m pytest -n 2 --dist loadfile -m slow

$(INSTALLED): requirements.txt requirements-tables.txt
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info[:2] <= (3, 13); sys.exit(0 if ok else "error: expected Python 3.11 to 3.13, received: " + sys.version.split()[0] + "; choose one with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-tables.txt
	@touch $@

clean:
	rm -rf $(VENV) runs/demo
