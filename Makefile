# Thin over dev.py, which is standard library only and does all the set-up.
PYTHON ?= python3

.PHONY: run test check bench proof demo reset setup
run test check bench proof demo reset setup:
	@$(PYTHON) dev.py $@ $(ARGS)
