# The study: networks, landscapes and the figures' data. Each file is made once; delete it to make it
# again. An interrupted training or landscape goes on from where it was.

STUDY := study_runs
DATA := state_files/data

# The settings of every landscape of the study, stated on each figure's page.
SURFACE = $(LOSSLANDSCAPE) surface --data digits --grid 51 --tolerance 0.01 --batch-size 256 \
    --overwrite --output $(@:.nc=.unfinished.nc)
# Surfaces too rough to be interpolated within 1% at a bearable cost: the error that is left is stated.
ROUGH = --max-points 160
# Critical points want every point of the grid: an interpolation error counts twice in what is noise,
# and a share of the linear range, on which persistence is judged, is more than the loss of a minimum.
DENSE = $(LOSSLANDSCAPE) surface --data digits --samples 200 --grid 33 --batch-size 200 \
    --overwrite --output $(@:.nc=.unfinished.nc)
# A landscape in the making has another name, so that make never takes it for a finished one.
FINISH = mv $(@:.nc=.unfinished.nc) $@
TRAIN = $(LOSSLANDSCAPE) train --data digits --epochs 5

LANDSCAPES := resnet50_random vgg11_random vgg11_pca resnet50_pca vgg11_three resnet50_random_fixed

paper: $(INSTALLED) $(LANDSCAPES:%=$(STUDY)/%.nc) $(LANDSCAPES:%=$(DATA)/%/surface.vti)
	@$(TRAIN) --model resnet50 --output $(STUDY)/resnet50
	@$(TRAIN) --model vgg11 --output $(STUDY)/vgg11

$(STUDY)/resnet50/weights.safetensors: | $(INSTALLED)
	$(TRAIN) --model resnet50 --output $(@D)

$(STUDY)/vgg11/weights.safetensors: | $(INSTALLED)
	$(TRAIN) --model vgg11 --output $(@D)

$(STUDY)/vgg11_seed%/weights.safetensors: | $(INSTALLED)
	$(TRAIN) --model vgg11 --seed $* --no-trajectory --output $(@D)

$(STUDY)/resnet50_random.nc: $(STUDY)/resnet50/weights.safetensors
	$(SURFACE) $(ROUGH) --model resnet50 --weights $< --batch-norm reestimated \
	    --title "ResNet-50 on digits"
	$(FINISH)

$(STUDY)/resnet50_random_fixed.nc: $(STUDY)/resnet50/weights.safetensors
	$(SURFACE) $(ROUGH) --model resnet50 --weights $< --batch-norm fixed \
	    --title "ResNet-50 on digits"
	$(FINISH)

$(STUDY)/resnet50_pca.nc: $(STUDY)/resnet50/weights.safetensors
	$(SURFACE) $(ROUGH) --model resnet50 --weights $< --batch-norm reestimated \
	    --directions pca --trajectory $(<D)/trajectory --title "ResNet-50 on digits"
	$(FINISH)

$(STUDY)/vgg11_random.nc: $(STUDY)/vgg11/weights.safetensors
	$(SURFACE) --model vgg11 --weights $< --title "VGG-11 on digits"
	$(FINISH)

$(STUDY)/vgg11_pca.nc: $(STUDY)/vgg11/weights.safetensors
	$(SURFACE) --model vgg11 --weights $< \
	    --directions pca --trajectory $(<D)/trajectory --title "VGG-11 on digits"
	$(FINISH)

$(STUDY)/vgg11_three.nc: $(foreach run,vgg11 vgg11_seed1 vgg11_seed2,$(STUDY)/$(run)/weights.safetensors)
	$(DENSE) --model vgg11 --directions between --models $^ \
	    --labels "seed 0" "seed 1" "seed 2" --title "Three VGG-11 on digits"
	$(FINISH)

# The landscape itself lies beside its exports, so that the plugin and the command line have it too.
$(DATA)/%/surface.vti: $(STUDY)/%.nc
	mkdir -p $(@D)
	cp $< $(@D)/landscape.nc
	$(LOSSLANDSCAPE) export $< --formats vti vtp --output $(@D) --overwrite

# What figures 4 and 5 draw beside the surfaces.
TOPOLOGY := $(DATA)/vgg11_three/topology.json
FLATNESS := $(foreach network,resnet50 vgg11,$(DATA)/$(network)_random/flatness.json)

paper: $(TOPOLOGY) $(FLATNESS)

$(TOPOLOGY): $(DATA)/vgg11_three/surface.vti
	$(LOSSLANDSCAPE) topology $(@D)/landscape.nc --scale linear --noise bottleneck \
	    --output $(STUDY)/topology --overwrite
	cp $(foreach file,critical_points.vtp separatrices.vtp persistence_diagram.vtp topology.json,$(STUDY)/topology/$(file)) $(@D)/

$(FLATNESS): $(DATA)/%_random/flatness.json: $(DATA)/%_random/surface.vti
	$(LOSSLANDSCAPE) flatness $(@D)/landscape.nc --output $(STUDY)/flatness_$* --overwrite
	cp $(foreach file,flat_region.vtp flat_region_outline.vtp flatness.json,$(STUDY)/flatness_$*/$(file)) $(@D)/

# The minima of Huang et al. 2020, and their volumes: docs/basin_volume.md. About five minutes of one core.
# A killed run goes on with the next minimum. STUDY_OPTIONS=--quick: two minima, in a minute.
.PHONY: study-huang
study-huang: $(INSTALLED_TEST)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.huang $(STUDY_OPTIONS)

# The data of figures 6 and 7: the curvature of a small network, and trust in its plane. Two minutes.
.PHONY: study-curvature
study-curvature: $(INSTALLED_TEST)
	OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.curvature_figures
