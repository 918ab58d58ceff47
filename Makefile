# Everything runs in .venv, made here with the packages of requirements.lock. `make help` lists the targets.

PYTHON ?= python3
# Further arguments for pip, for example an index of CPU-only torch builds.
PIP_ARGS ?=
# Further settings of `make train`: TRAIN_ARGS=trainer.max_steps=30
TRAIN_ARGS ?=
JOBS ?= 2
FUZZ_RUNS ?= 50000
FUZZ_SECONDS ?= 30
FUZZ_TARGETS := model_file vocabulary chat options
FUZZ_READERS := model gguf safetensors config vocabulary txt jsonl sharegpt json tsv csv tmx
MAKEFLAGS += --no-print-directory

VENV := .venv
RUN := $(VENV)/bin/python
LOWEST := .venv-lowest/bin/python
INSTALLED := $(VENV)/.installed
MODEL := models/lai-quickstart.bin
ENGINE := build/lai
CPP_FILES = $(shell find cpp tests/cpp -name '*.cpp' -o -name '*.hpp')
SOURCES := $(filter-out lai/programs/%,$(shell find lai conf -name '*.py' -o -name '*.yaml' -o -name '*.txt'))
ENGINE_SOURCES := $(shell find cpp -name '*.cpp' -o -name '*.hpp' -o -name CMakeLists.txt) lai/__init__.py

# A CMake of the system is used where there is one, so that the engine can be built without Python packages.
SYSTEM_CMAKE := $(shell command -v cmake 2>/dev/null)
CMAKE := $(or $(SYSTEM_CMAKE),$(VENV)/bin/cmake)
CMAKE_READY := $(if $(SYSTEM_CMAKE),,$(INSTALLED))

.DEFAULT_GOAL := help
.PHONY: help setup train answer test heavy lowest lint lock audit settings release debug races arm fuzz fuzz-python analyse
.PHONY: clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(INSTALLED)  ## make .venv and install LAi into it

# Every package comes from a lock with hashes. From another index (PIP_ARGS), torch has files that the lock does not know.
HASHED := --require-hashes --no-deps --no-build-isolation
NEEDS_CUDA := from importlib.metadata import requires; print(int(any("nvidia-" in line for line in requires("torch"))))

$(INSTALLED): pyproject.toml $(wildcard requirements*.lock) lai/__init__.py
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else "error: LAi needs Python 3.11 to 3.13, %s is %d.%d; name another: make PYTHON=python3.12 ..." % (sys.executable, *v))'
	@test -x $(RUN) || { echo 'setup: making $(VENV)'; $(PYTHON) -m venv $(VENV); }
	@$(RUN) -m pip --version >/dev/null 2>&1 || $(RUN) -m ensurepip >/dev/null  # `uv venv` leaves pip out
	@echo 'setup: 1 of 2, PyTorch: 200 MB, with CUDA several GB'
	@$(call pip_install,$(RUN),$(HASHED) -r requirements-build.lock)
	@if [ -n '$(PIP_ARGS)' ]; then $(call pip_install,$(RUN),--no-deps -c constraints.txt torch); \
	  else $(call pip_install,$(RUN),$(HASHED) -r requirements-cpu.lock) 2>/dev/null || true; fi
	@echo 'setup: 2 of 2, LAi and some 100 packages: 250 MB'
	@$(call pip_install,$(RUN),$(HASHED) -r requirements.lock)
	@if [ "$$($(RUN) -c '$(NEEDS_CUDA)')" = 1 ]; then $(call pip_install,$(RUN),$(HASHED) -r requirements-cuda.lock) ; fi
	@$(call pip_install,$(RUN),--no-deps --no-build-isolation -e .)
	@$(RUN) -m pip check >/dev/null || $(RUN) -m pip check
	@echo 'setup: done, in $(VENV)'
	@touch $@

# pip install with a Python, and what to install. Of pip's pages of lines it shows what takes long:
# downloads of 10 MB and more, and the beginning of installing. A terminal also shows which package it is at.
define pip_install
{ $(1) -m pip install --disable-pip-version-check $(PIP_ARGS) $(2); echo "status $$?"; } | while IFS= read -r line; do \
  case "$$line" in \
    'status '*) exit "$${line#status }" ;; \
    *Downloading*[0-9][0-9].[0-9]' MB)'* | *Downloading*' GB)'*) name="$${line#*Downloading }"; shown="downloading $${name%%-*} ($${line##*(}" ;; \
    'Installing collected packages'*) shown='installing, which takes a minute or two' ;; \
    Collecting*) if [ -t 1 ]; then printf '\r\033[K       %.70s' "$$line"; fi; continue ;; \
    *) continue ;; \
  esac; \
  if [ -t 1 ]; then printf '\r\033[K'; fi; \
  echo "       $$shown"; \
done
endef

train: answer  ## set up, train a small model on generated text, and ask it three things

$(MODEL): $(INSTALLED) $(SOURCES)
	$(RUN) -m lai.train experiment=quickstart export.path=$(MODEL) $(TRAIN_ARGS)

answer: $(MODEL) $(ENGINE)
	@echo
	@echo '> Hello, how are you?'
	@$(ENGINE) -m $(MODEL) --temp 0 -p 'Hello, how are you?'
	@echo '> in Hungarian: $(ENGLISH)'
	@$(ENGINE) -m $(MODEL) --temp 0 -t '$(ENGLISH)'
	@echo '> in English: $(HUNGARIAN)'
	@$(ENGINE) -m $(MODEL) --temp 0 --to-en '$(HUNGARIAN)'

# Neither sentence is in the training text: these combinations of words are held out.
ENGLISH := The cook played in the forest.
HUNGARIAN := A nő megette a krumplit.

test: $(INSTALLED) $(ENGINE)  ## set up and run the tests
	$(RUN) -m pytest -m 'not heavy' -n auto --maxprocesses 8 --dist worksteal

heavy: $(INSTALLED) $(ENGINE)  ## run the tests that take minutes: recipes of docs/extending.md, compiling, Windows
	$(RUN) -m pytest -m heavy -n auto --maxprocesses 8 --dist worksteal

# With the oldest versions that pyproject.toml allows; for their sake Python 3.11 or 3.12.
lowest: $(ENGINE)  ## run the quick tests with the versions of constraints-lowest.txt, in .venv-lowest
	@test -x $(LOWEST) || $(PYTHON) -m venv .venv-lowest
	@$(call pip_install,$(LOWEST),-c constraints-lowest.txt torch)
	@$(call pip_install,$(LOWEST),-c constraints-lowest.txt -e '.[dev]')
	$(LOWEST) -m pytest -m 'not slow and not heavy' -n auto --maxprocesses 8 --dist worksteal

lint: $(INSTALLED)  ## check style, types, which module may import which, and the format of C++
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(RUN) -m mypy --platform win32
	$(VENV)/bin/lint-imports --no-logo
	$(VENV)/bin/clang-format --dry-run --Werror $(CPP_FILES)

UV ?= uv
lock:  ## write requirements*.lock anew from pyproject.toml and constraints.txt, with uv
	$(PYTHON) .ci/lock.py --uv $(UV)

# pip-audit asks PyPI's advisories; it lives apart from what it looks at.
audit:  ## ask for known vulnerabilities in the locked packages, with pip-audit in .venv-audit
	@test -x .venv-audit/bin/pip-audit || { $(PYTHON) -m venv .venv-audit && .venv-audit/bin/pip install -q pip-audit==2.10.1; }
	.venv-audit/bin/pip-audit --strict --require-hashes --disable-pip $(foreach file,$(wildcard requirements*.lock),-r $(file))

settings: $(INSTALLED)  ## write docs/configuration.md and conf/schema.json anew from the schema
	$(RUN) -m lai.config.describe > docs/configuration.md
	$(RUN) -m lai.train --schema > conf/schema.json

release: $(ENGINE)  ## build the engine, build/lai

$(ENGINE): $(CMAKE_READY) $(ENGINE_SOURCES)
	@$(CMAKE) -S cpp -B build/cmake -DCMAKE_BUILD_TYPE=Release -DLAI_OUTPUT_DIR=$(CURDIR)/build >/dev/null
	@$(CMAKE) --build build/cmake --target lai -j $(JOBS)
	@touch $@

debug: $(CMAKE_READY)  ## build the engine with address and undefined-behaviour checks, and run its tests
	$(CMAKE) -S cpp -B build-debug/cmake -DCMAKE_BUILD_TYPE=Debug -DLAI_SANITIZE=address,undefined -DLAI_WERROR=ON -DLAI_TESTS=ON \
	  -DLAI_OUTPUT_DIR=$(CURDIR)/build-debug
	$(CMAKE) --build build-debug/cmake -j $(JOBS)
	CTEST_OUTPUT_ON_FAILURE=1 $(CMAKE) --build build-debug/cmake --target test

races: $(CMAKE_READY)  ## build the engine with the thread sanitizer, and run the tests in which threads share work
	$(CMAKE) -S cpp -B build-races -DCMAKE_BUILD_TYPE=RelWithDebInfo -DLAI_SANITIZE=thread -DLAI_WERROR=ON -DLAI_TESTS=ON
	$(CMAKE) --build build-races -j $(JOBS) --target test_thread_pool --target test_transformer
	build-races/tests/test_thread_pool
	LAI_KERNELS=portable build-races/tests/test_transformer

arm: $(CMAKE_READY)  ## build the engine for ARM64 and run its tests under QEMU
	$(CMAKE) -S cpp -B build-arm -DCMAKE_BUILD_TYPE=Release -DLAI_WERROR=ON -DLAI_TESTS=ON \
	  -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ \
	  -DCMAKE_CROSSCOMPILING_EMULATOR='qemu-aarch64;-L;/usr/aarch64-linux-gnu'
	$(CMAKE) --build build-arm -j $(JOBS)
	CTEST_OUTPUT_ON_FAILURE=1 $(CMAKE) --build build-arm --target test

fuzz: $(CMAKE_READY)  ## build with clang++ and run the fuzz targets, FUZZ_RUNS inputs each
	CXX=clang++ $(CMAKE) -S cpp -B build-fuzz -DCMAKE_BUILD_TYPE=RelWithDebInfo -DLAI_FUZZ=ON -DLAI_SANITIZE=address,undefined -DLAI_WERROR=ON
	$(CMAKE) --build build-fuzz -j $(JOBS)
	mkdir -p $(FUZZ_TARGETS:%=build-fuzz/inputs/%)
	build-fuzz/fuzz/fuzz_seed build-fuzz/inputs/model_file
	for name in $(FUZZ_TARGETS); do \
	  build-fuzz/fuzz/fuzz_$$name -runs=$(FUZZ_RUNS) -timeout=20 -verbosity=0 -print_final_stats=1 -artifact_prefix=build-fuzz/ \
	    build-fuzz/inputs/$$name || exit 1; \
	done

# atheris guides the changes of the files. It is there for Linux and macOS, and lives apart from LAi's packages.
fuzz-python: $(INSTALLED)  ## run the readers of Python on changed files, FUZZ_SECONDS each, with atheris
	@test -d build-fuzz/python || $(RUN) -m pip install -q --disable-pip-version-check --target build-fuzz/python atheris==3.0.0 || \
	  echo 'fuzz-python: without atheris, the changes are drawn at random'
	for name in $(FUZZ_READERS); do \
	  PYTHONPATH=build-fuzz/python $(RUN) tests/fuzz/readers.py $$name --seconds $(FUZZ_SECONDS) || exit 1; \
	done

analyse: $(CMAKE_READY)  ## look for mistakes in the engine with cppcheck
	$(CMAKE) -S cpp -B build-analyse -DCMAKE_EXPORT_COMPILE_COMMANDS=ON >/dev/null
	cppcheck --project=build-analyse/compile_commands.json --enable=warning,performance,portability --quiet --error-exitcode=1

clean:  ## remove what was built; models, outputs and .venv stay
	rm -rf build build-debug build-races build-arm build-fuzz build-analyse
