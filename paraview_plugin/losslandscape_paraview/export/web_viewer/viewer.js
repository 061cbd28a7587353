// Shows the figure of a page: its glTF, turned by mouse, touch or keys, with axes and colour bars.
"use strict";
(() => {
  const figure = JSON.parse(document.getElementById("figure-data").textContent);
  const base64 = document.getElementById("figure-gltf").textContent.trim();
  const stage = document.getElementById("panels");
  const GRID = "#cccccc";
  const TURN = Math.PI / 36;
  const ZOOM = 1.15;
  // half the width that is always seen, in half widths of the box: its diagonal and its labels
  const HALF_WIDTH = 1.8;

  buildLegend();
  let renderer;
  try {
    renderer = new THREE.WebGLRenderer({ antialias: true });
  } catch {
    const trouble = element("p", "", "This browser shows no WebGL, which the figure needs.");
    trouble.id = "trouble";
    stage.append(trouble);
    return;
  }
  renderer.setClearColor("#ffffff");
  renderer.autoClear = false;
  const canvas = renderer.domElement;
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `${document.title}, a figure to turn`);
  stage.prepend(canvas);

  const scene = new THREE.Scene();
  scene.add(new THREE.AmbientLight("#ffffff", 1.35));
  // they move with the camera, above its right and its left shoulder
  const lamps = [
    [1.75, 0.35, 0.8, 1.0],
    [0.55, -0.9, 0.1, 0.7],
  ].map(([intensity, ...place]) => {
    const lamp = new THREE.DirectionalLight("#ffffff", intensity);
    scene.add(lamp, lamp.target);
    return { lamp, place: new THREE.Vector3(...place) };
  });

  const panels = figure.panels.map(makePanel);
  const turning = panels.filter((panel) => !panel.flat);
  const shared = (turning[0] || panels[0]).camera;
  for (const panel of turning) panel.camera = shared;

  const controls = new THREE.OrbitControls(shared, canvas);
  controls.enableRotate = turning.length > 0;
  // a surface over a plane is looked at from above
  if (turning.length && turning.every((panel) => panel.over_plane)) {
    controls.maxPolarAngle = Math.PI / 2 - 0.02;
  }
  controls.minZoom = 0.3;
  controls.maxZoom = 30;
  controls.saveState();
  controls.addEventListener("change", draw);
  canvas.addEventListener("keydown", onKey);
  canvas.addEventListener("dblclick", () => controls.reset());
  canvas.addEventListener("webglcontextrestored", draw);
  new ResizeObserver(draw).observe(stage);

  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  new THREE.GLTFLoader().parse(
    bytes.buffer,
    "",
    (loaded) => {
      // the file turns z up and puts its panels side by side; here each has a place of its own
      const nodes = [...loaded.scene.children[0].children];
      nodes.forEach((node, number) => {
        node.position.set(0, 0, 0);
        panels[number].content.add(node);
      });
      document.documentElement.dataset.loaded = "1";
      draw();
    },
    (error) => {
      throw error;
    },
  );

  function makePanel(data) {
    const box = element("section", "panel");
    box.append(element("h2", "", data.title));
    stage.append(box);
    const extent = [0, 1, 2].map((axis) => data.bounds[2 * axis + 1] - data.bounds[2 * axis]);
    const unit = Math.max(extent[0], extent[1]) / 2;
    // each is moved and scaled so that one camera fits all
    const content = new THREE.Group();
    content.scale.setScalar(1 / unit);
    content.position.set(...data.camera.centre).multiplyScalar(-1 / unit);
    scene.add(content);
    const camera = new THREE.OrthographicCamera(-1, 1, 1, -1, -50, 50);
    camera.up.set(...data.camera.up);
    camera.position.set(...data.camera.direction).multiplyScalar(10);
    camera.lookAt(0, 0, 0);
    const direction = data.camera.direction.map(Math.abs);
    const panel = {
      ...data,
      box,
      extent,
      content,
      // a curve or a diagram lies in a plane that faces the reader
      flat: Math.max(...direction) > 0.9999,
      halfHeight: data.camera.half_height / unit,
    };
    panel.camera = camera;
    panel.faces = panel.axes.length ? makeGrid(panel) : [];
    panel.labels = makeLabels(panel);
    for (const note of data.notes) {
      const label = element("div", "label", note.words);
      label.style.left = `${100 * note.place[0]}%`;
      label.style.top = "auto";
      label.style.bottom = `${100 * note.place[1]}%`;
      box.append(label);
    }
    return panel;
  }

  // The box's six faces with their lines; those behind the surface are shown.
  function makeGrid(panel) {
    const material = new THREE.LineBasicMaterial({ color: GRID });
    const faces = [];
    for (let axis = 0; axis < 3; axis++) {
      const [u, v] = [0, 1, 2].filter((other) => other !== axis);
      if (!panel.extent[u] || !panel.extent[v]) continue;
      for (const end of [0, 1]) {
        const places = [];
        for (const [along, across] of [[u, v], [v, u]]) {
          const ends = [panel.bounds[2 * across], panel.bounds[2 * across + 1]];
          const ticks = panel.axes[across].ticks.map((tick) => tick[1]);
          for (const tick of [...ends, ...ticks]) {
            for (const side of [0, 1]) {
              const point = [0, 0, 0];
              point[axis] = panel.bounds[2 * axis + end];
              point[along] = panel.bounds[2 * along + side];
              point[across] = tick;
              places.push(...point);
            }
          }
        }
        const geometry = new THREE.BufferGeometry();
        geometry.setAttribute("position", new THREE.Float32BufferAttribute(places, 3));
        const lines = new THREE.LineSegments(geometry, material);
        panel.content.add(lines);
        faces.push({ axis, sign: end ? 1 : -1, lines });
      }
    }
    return faces;
  }

  function makeLabels(panel) {
    const labels = [];
    const add = (words, kind, more) => {
      if (!words) return;
      const label = element("div", `label ${kind}`, words);
      panel.box.append(label);
      labels.push({ label, ...more });
    };
    panel.axes.forEach((axis, number) => {
      if (!panel.extent[number]) return;
      const middle = (panel.bounds[2 * number] + panel.bounds[2 * number + 1]) / 2;
      for (const [words, place] of axis.ticks) add(words, "", { axis: number, place, away: 1.0 });
      const kind = axis.title.length === 1 ? "axis letter" : "axis";
      add(axis.title, kind, { axis: number, place: middle, away: 1.7 });
    });
    for (const text of panel.texts) {
      add(text.words, text.light ? "named light" : "named", { position: text.position, align: text.align });
    }
    return labels;
  }

  let asked = false;
  function draw() {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      render();
    });
  }

  function render() {
    const whole = stage.getBoundingClientRect();
    if (!whole.width || !whole.height) return;
    renderer.setPixelRatio(Math.min(window.devicePixelRatio, 3));
    renderer.setSize(whole.width, whole.height);
    renderer.setScissorTest(false);
    renderer.clear();
    renderer.setScissorTest(true);
    for (const panel of panels) {
      const place = panel.box.getBoundingClientRect();
      const left = place.left - whole.left;
      const bottom = whole.bottom - place.bottom;
      const camera = panel.camera;
      const half = Math.max(panel.halfHeight, (HALF_WIDTH * place.height) / place.width);
      camera.top = half;
      camera.bottom = -half;
      camera.right = (half * place.width) / place.height;
      camera.left = -camera.right;
      camera.updateProjectionMatrix();
      camera.updateMatrixWorld();
      for (const other of panels) other.content.visible = other === panel;
      const toCamera = new THREE.Vector3(0, 0, 1).applyQuaternion(camera.quaternion);
      const seen = toCamera.toArray();
      for (const face of panel.faces) face.lines.visible = face.sign * seen[face.axis] < -0.01;
      for (const { lamp, place: from } of lamps) {
        lamp.position.copy(from).applyQuaternion(camera.quaternion);
      }
      renderer.setViewport(left, bottom, place.width, place.height);
      renderer.setScissor(left, bottom, place.width, place.height);
      renderer.render(scene, camera);
      placeLabels(panel, camera, seen, place.width, place.height);
    }
    const shown = document.documentElement.dataset;
    shown.frames = String(Number(shown.frames || 0) + 1);
  }

  function placeLabels(panel, camera, seen, width, height) {
    panel.content.updateMatrixWorld();
    const onScreen = (point) => {
      const place = new THREE.Vector3(...point).applyMatrix4(panel.content.matrixWorld);
      place.project(camera);
      return [((place.x + 1) / 2) * width, ((1 - place.y) / 2) * height];
    };
    const letter = parseFloat(getComputedStyle(document.body).fontSize);
    for (const item of panel.labels) {
      let x, y, shift;
      if (item.position) {
        [x, y] = onScreen(item.position);
        shift = item.align === "right" ? [-100, -100] : [0, -100];
      } else {
        const edge = edgeOf(panel, item.axis, seen, onScreen);
        const point = [...edge.corner];
        point[item.axis] = item.place;
        [x, y] = onScreen(point);
        // as far from the edge as the label's own size asks for
        const wide = item.label.offsetWidth / 2;
        const high = item.label.offsetHeight / 2;
        const reach = Math.abs(edge.outward[0]) * wide + Math.abs(edge.outward[1]) * high;
        const far = item.away * item.away * letter * 0.9 - 0.4 * letter + reach;
        x += edge.outward[0] * far;
        y += edge.outward[1] * far;
        shift = [-50, -50];
      }
      item.label.style.transform = `translate(${x}px, ${y}px) translate(${shift[0]}%, ${shift[1]}%)`;
    }
  }

  // The edge of the box that carries an axis's labels, and where outward is on the screen.
  function edgeOf(panel, axis, seen, onScreen) {
    const end = (other, high) => panel.bounds[2 * other + (high ? 1 : 0)];
    const corner = [0, 0, 0];
    if (axis === 2) {
      // the one that stands furthest left
      let best;
      for (const right of [false, true]) {
        for (const back of [false, true]) {
          const at = [end(0, right), end(1, back), panel.bounds[4]];
          const [x] = onScreen(at);
          if (!best || x < best.x) best = { x, at };
        }
      }
      return { corner: best.at, outward: [-1, 0] };
    }
    const other = 1 - axis;
    const high = seen[other] > 0;
    corner[axis] = (end(axis, false) + end(axis, true)) / 2;
    corner[other] = end(other, high);
    corner[2] = end(2, seen[2] < 0);
    const step = Math.max(...panel.extent) / 10;
    const beyond = [...corner];
    beyond[other] += high ? step : -step;
    beyond[2] += (seen[2] < 0 ? 0.3 : -0.3) * step;
    const [from, to] = [onScreen(corner), onScreen(beyond)];
    const length = Math.hypot(to[0] - from[0], to[1] - from[1]) || 1;
    return { corner, outward: [(to[0] - from[0]) / length, (to[1] - from[1]) / length] };
  }

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const turns = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    if (event.key in turns && controls.enableRotate) {
      turn(...turns[event.key]);
    } else if (event.key === "+" || event.key === "=") {
      zoom(ZOOM);
    } else if (event.key === "-") {
      zoom(1 / ZOOM);
    } else if (event.key === "0" || event.key === "Home") {
      controls.reset();
    } else {
      return;
    }
    event.preventDefault();
  }

  function turn(around, down) {
    const offset = shared.position.clone().sub(controls.target);
    // three.js counts its polar angle from y, here it is from z
    const angles = new THREE.Spherical().setFromVector3(
      new THREE.Vector3(offset.x, offset.z, -offset.y),
    );
    angles.theta += around * TURN;
    angles.phi += down * TURN;
    angles.phi = Math.min(Math.max(angles.phi, 0.01), controls.maxPolarAngle);
    angles.makeSafe();
    const turned = new THREE.Vector3().setFromSpherical(angles);
    shared.position.set(turned.x, -turned.z, turned.y).add(controls.target);
    controls.update();
  }

  function zoom(factor) {
    shared.zoom = Math.min(Math.max(shared.zoom * factor, controls.minZoom), controls.maxZoom);
    controls.update();
    draw();
  }

  function buildLegend() {
    const legend = document.getElementById("legend");
    for (const bar of figure.bars) {
      const box = element("div", "bar");
      box.append(element("div", "", bar.title));
      const ramp = element("div", "ramp");
      ramp.style.background = `linear-gradient(to right, ${bar.colours.map(css).join(", ")})`;
      const ticks = element("div", "ticks");
      for (const [words, place] of bar.ticks) {
        const tick = element("span", "", words);
        tick.style.left = `${100 * place}%`;
        ticks.append(tick);
      }
      box.append(ramp, ticks);
      legend.append(box);
    }
    if (!figure.keys.length) return;
    const keys = element("div", "");
    for (const key of figure.keys) {
      const entry = element("span", "key");
      const mark = element("i", "");
      mark.style.background = css(key.colour);
      entry.append(mark, element("span", "", key.words));
      keys.append(entry);
    }
    legend.append(keys);
  }

  function css(colour) {
    return `rgb(${colour.map((share) => (255 * share).toFixed(1)).join(" ")})`;
  }

  function element(tag, kind, words = "") {
    const made = document.createElement(tag);
    if (kind) made.className = kind;
    // as text: nothing in a landscape is ever read as markup
    made.textContent = words;
    return made;
  }
})();
