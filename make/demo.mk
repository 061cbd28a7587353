# The demonstration: a small residual network on the embedded digits, from training to pictures. Each
# finished stage is a file and is used again; delete demo_run/ to begin anew.

DEMO := demo_run
DEMO_PICTURES := $(foreach figure,surface contours trajectory,$(DEMO)/pictures/$(figure).png)
DEMO_SURFACE = $(LOSSLANDSCAPE) surface --model small_resnet --weights $(DEMO)/training \
    --data digits --samples 300 --grid 51 --batch-norm reestimated \
    --title "Small residual network on digits" --overwrite --output $(@:.nc=.unfinished.nc)
# A landscape in the making has another name, so that make never takes it for a finished one.
DEMO_FINISH = mv $(@:.nc=.unfinished.nc) $@

demo: $(INSTALLED) paraview $(DEMO_PICTURES) $(DEMO)/random/surface.vti $(DEMO)/descent/surface.vti
	@echo "Landscapes: $(DEMO)/random.nc $(DEMO)/descent.nc (.vti, .vtp, .ply in the folders beside them)"
	@echo "Pictures:"
	@printf '  %s\n' $(DEMO_PICTURES)

$(DEMO)/training/weights.safetensors: | $(INSTALLED)
	$(LOSSLANDSCAPE) train --model small_resnet --data digits --epochs 10 --learning-rate 0.005 \
	    --output $(@D)

$(DEMO)/random.nc: $(DEMO)/training/weights.safetensors
	$(DEMO_SURFACE)
	$(DEMO_FINISH)

$(DEMO)/descent.nc: $(DEMO)/training/weights.safetensors
	$(DEMO_SURFACE) --directions pca --trajectory $(<D)/trajectory
	$(DEMO_FINISH)

$(DEMO)/%/surface.vti: $(DEMO)/%.nc
	$(LOSSLANDSCAPE) export $< --output $(@D) --overwrite

$(DEMO)/pictures/surface.png $(DEMO)/pictures/contours.png: $(DEMO)/pictures/%.png: $(DEMO)/random.nc | paraview
	@mkdir -p $(@D)
	$(LOSSLANDSCAPE) render $< --figure $* --output $@ --state $(@:.png=.pvsm) --overwrite

$(DEMO)/pictures/trajectory.png: $(DEMO)/descent.nc | paraview
	@mkdir -p $(@D)
	$(LOSSLANDSCAPE) render $< --figure trajectory --output $@ --state $(@:.png=.pvsm) --overwrite
