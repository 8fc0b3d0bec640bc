# PGXS habits for an extension that cargo builds: make, make install, make installcheck. `make help` lists the rest.
PG_CONFIG ?= pg_config
SHELL := /bin/bash
# cargo runs side by side by itself, and two of them only wait for each other
.NOTPARALLEL:
.PHONY: all build install installcheck setup demo test bench quality clean distclean help

all: build

build: ## build the library (release) for the PostgreSQL of PG_CONFIG, without installing it
	@scripts/build.sh "$(PG_CONFIG)"

install: ## build, and install into the PostgreSQL of PG_CONFIG (default: the first pg_config on the PATH)
	@scripts/install.sh "$(PG_CONFIG)"

installcheck: ## pg_regress and isolation tests on the running server of PGHOST, PGPORT, PGUSER
	@PG_CONFIG="$(PG_CONFIG)" tests/regress/run.sh
	@PG_CONFIG="$(PG_CONFIG)" tests/isolation/run.sh

setup: ## install what is missing to build and test (Debian 12); demo, test and bench begin with it
	@scripts/setup.sh

demo: setup ## the whole on a throw-away server; DATA=dir loads OULAD from there, KEEP=1 leaves the server running, HTTP=1 serves it
	@DATA="$(DATA)" KEEP="$(KEEP)" HTTP="$(HTTP)" scripts/demo.sh

test: setup ## every test; ONLY=fmt,rooms,clippy,engine,pgtest,regress,isolation,shell,docs selects
	@ONLY="$(ONLY)" scripts/test.sh

bench: setup ## the benchmarks (benches/README.md); CASE=reference,repeats,oulad,growth,kmeans,trees,predict,http,cancel or engine; SIZE=1,10 RUNS=5 DATA=dir KEEP=1
	@CASE="$(CASE)" SIZE="$(SIZE)" GRAINS="$(GRAINS)" RUNS="$(RUNS)" DATA="$(DATA)" KEEP="$(KEEP)" scripts/bench.sh

quality: setup ## how well the classifiers do on real data (benches/quality/README.md): OULAD, PEDE, xAPI, Moodle; ONLY=oulad,pede,tables DATA=dir
	@ONLY="$(ONLY)" DATA="$(DATA)" benches/quality/run.sh

clean: ## stop our servers; remove what was built and what tests wrote
	@scripts/pg.sh stop --all
	@rm -rf tests/regress/results tests/isolation/results
	cargo clean

distclean: clean ## clean, and the private copy of PostgreSQL too
	@rm -rf .pg .run

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
