# The study of actor and critic: agents, landscapes, table and picture, on one core. A killed study
# goes on from what is in study_runs/actor_critic. RL_OPTIONS=--write stores the table and picture.

.PHONY: study-rl

RL_OPTIONS ?=
study-rl: $(INSTALLED)
	@$(BIN)/python -c "import gymnasium, matplotlib, stable_baselines3" 2>/dev/null || \
	    $(BIN)/python -m pip install --quiet --editable ".[study]"
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.actor_critic $(RL_OPTIONS)
