# The findings of Li et al. 2018 as a score card: docs/score_card.md. A night of two cores; a killed run goes on.
# STUDY_OPTIONS=--quick: 20 layers and one seed; --write stores table and figure in the repository.

.PHONY: study-li
study-li: $(INSTALLED)
	@$(BIN)/python -c "import matplotlib, mlxtend" 2>/dev/null || \
	    $(BIN)/python -m pip install --quiet --editable ".[study]"
	OMP_NUM_THREADS=$(or $(OMP_NUM_THREADS),1) $(BIN)/python -m benchmarks.li $(STUDY_OPTIONS)
