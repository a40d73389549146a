"use strict";
// Brings the page alive: charts that zoom and read out, runs that can be hidden, figures as files.
// Without it the page is complete; every chart it replaces stays in the page for print.

const live = (() => {
  const one = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const report = JSON.parse(one("#report-data").textContent);
  const looks = new Map(report.optimizers.map((o) => [o.name, o]));
  const packs = new Map();
  const charts = new Map();
  const hidden = { optimizers: new Set(), seeds: new Set(), runs: new Set() };

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  const count = (n, what) => `${n} ${what}${n === 1 ? "" : "s"}`;

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();

  function numbers(task) {
    if (!packs.has(task)) packs.set(task, recompute.decode(one("#runs-" + task).textContent));
    return packs.get(task);
  }

  function shows(optimizer, seed, task) {
    return !hidden.optimizers.has(optimizer) && !hidden.seeds.has(String(seed)) &&
      !hidden.runs.has(`${task}/${optimizer}/${seed}`);
  }

  // ---- what a chart shows ----

  function lines(spec) {
    if (spec.kind === "runs") {
      const task = report.tasks[spec.task];
      return recompute.curves(report, task, numbers(spec.task), spec.measure, spec.clock, shows);
    }
    if (spec.kind === "profile") {
      const kept = Object.entries(spec.costs).filter(([name]) => !hidden.optimizers.has(name));
      return recompute.profile(recompute.costs(Object.fromEntries(kept), shows), spec.limit);
    }
    if (spec.kind === "reached") {
      const kept = Object.entries(spec.runs).filter(([name]) => !hidden.optimizers.has(name));
      return recompute.reached(Object.fromEntries(kept), spec.budget, shows);
    }
    return spec.lines.filter((line) => !hidden.optimizers.has(line.name));
  }

  function names(spec) {
    if (spec.kind === "runs") return [...new Set(report.tasks[spec.task].runs.map((r) => r.optimizer))];
    return spec.order ?? spec.lines.map((l) => l.name);
  }

  // ---- a chart ----

  // How values are laid out along y, and what uPlot is told of it.
  function upright(chart, fixed) {
    const { spec } = chart;
    if (chart.logy) return { scale: { distr: 3, range: (_, min, max) => axes.reach(min, max) }, axis: axes.logarithmic(7) };
    if (chart.asinhy) {
      const middle = axes.linear(chart.table);
      const range = (_, min, max) => (min < max ? [min, max] : [min - middle, max + middle]);
      return { scale: { distr: 4, asinh: middle, range }, axis: axes.both(middle, 7) };
    }
    return { scale: { distr: 1, ...(spec.range ? { range: (_, min, max) => fixed(min, max) } : {}) }, axis: {} };
  }

  function options(chart, shown, width) {
    const { spec } = chart;
    const fixed = (min, max) => (chart.zoom === "xy" ? [min, max] : spec.range);
    const y = upright(chart, fixed);
    const axis = { stroke: colour("soft"), grid: { stroke: colour("rule"), width: 1 },
      ticks: { show: false }, font: "11px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif",
      values: (_, values) => axes.apart(values) };
    const series = [{}];
    const bands = [];
    for (const line of shown) {
      const look = looks.get(line.name) ?? { colour: "ink", dash: "none" };
      const lead = spec.leads.includes(line.name);
      const named = lead || spec.named.includes(line.name);
      const paths = spec.steps ? uPlot.paths.stepped({ align: 1 }) : undefined;
      const stroke = named ? colour(look.colour) : colour("rest");
      const dash = named && look.dash !== "none" ? look.dash.split(" ").map(Number) : undefined;
      series.push({ label: line.name, stroke, dash, paths, width: lead ? 2.2 : named ? 1.6 : 1,
        spanGaps: true, points: { show: spec.kind !== "runs" && !spec.steps && named, size: 4 } });
      if (lead && line.low) {
        const edge = { stroke: null, width: 0, spanGaps: true, points: { show: false }, paths };
        series.push({ ...edge, label: "" }, { ...edge, label: "" });
        bands.push({ series: [series.length - 1, series.length - 2], fill: colour(look.colour) + "28" });
      }
    }
    // Single values beside a line: open circles.
    for (const line of marked(chart, shown)) {
      const stroke = colour(looks.get(line.name).colour);
      series.push({ label: line.name, stroke, width: 0, paths: () => null, points: { show: true, size: 8, width: 1.8, stroke, fill: colour("paper") } });
    }
    return {
      width, height: 400, series, bands, legend: { show: false }, pxAlign: 0,
      scales: { x: { time: false, distr: chart.logx ? 3 : 1, range: (_, min, max) => [min, max === min ? min + 1 : max] },
        y: y.scale },
      axes: [{ ...axis, ...(chart.logx ? axes.logarithmic(width / 110) : axes.whole(chart.table[0])), label: spec.x, labelSize: 22, size: 34 },
        { ...axis, ...y.axis, label: spec.y, labelSize: 22, size: 58 }],
      focus: { alpha: 0.25 },
      // Charts over the same clock share the cursor; what is dragged over one chart zooms that chart only.
      cursor: { focus: { prox: 24 }, sync: { key: spec.group ?? spec.x, setSeries: false,
        filters: { pub: (type) => type === "mousemove" || type === "mouseleave" } }, drag: { x: true, y: true, uni: 30 },
        points: { show: (u, i) => u.series[i].label !== "" && u.series[i].width > 1 } },
      hooks: { setSelect: [() => { chart.zoom = "xy"; }], setCursor: [() => readout(chart)], setSeries: [(_, i) => near(chart, i)] },
    };
  }

  // The lines with a single value beside them; the colour of the others would not say whose it is.
  const marked = (chart, shown) => shown.filter((line) => line.mark && chart.spec.named.includes(line.name));

  // A logarithmic axis has no place for what is not positive.
  function positive(line) {
    const kept = line.x.map((x, i) => i).filter((i) => line.x[i] > 0);
    const of = (column) => line[column] && kept.map((i) => line[column][i]);
    return { name: line.name, x: of("x"), y: of("y"), low: of("low"), high: of("high") };
  }

  // Draws a chart, all of it or as far as the reader has zoomed in. A chart that cannot be drawn gives way to the
  // picture that it would have replaced.
  function draw(chart, keep = false) {
    try {
      plot(chart, keep ? chart.zoom : "");
      return true;
    } catch (error) {
      console.warn(`${chart.figure.id} stays as it was printed:`, error);
      retreat(chart);
      return false;
    }
  }

  function retreat(chart) {
    chart.box.remove();
    chart.controls.forEach((control) => control.remove());
    one(".plot", chart.figure).classList.remove("drawn");
    charts.delete(chart.figure);
    chart.plot?.destroy();
  }

  function plot(chart, zoom) {
    const shown = tabulate(chart);
    const ends = [...zoom].map((axis) => [axis, chart.plot.scales[axis]]).map(([axis, { min, max }]) => [axis, { min, max }]);
    chart.plot?.destroy();
    chart.plot = undefined;
    chart.zoom = zoom;
    // All at once and now: what uPlot leaves for later fails where nobody can catch it.
    new uPlot(options(chart, shown, chart.canvas.clientWidth), chart.table, (plot, init) => {
      chart.plot = plot;
      plot.batch(() => {
        chart.canvas.append(plot.root);
        init();
        for (const [axis, range] of ends) plot.setScale(axis, range);
      });
    });
    if ((chart.logy || chart.asinhy) && chart.table[0].length && !chart.plot.axes[1]._show) throw new Error("no ticks for these values");
    readout(chart);
  }

  // What is shown, as lines and as the table that uPlot wants.
  function tabulate(chart) {
    const shown = chart.logx ? lines(chart.spec).map(positive) : lines(chart.spec);
    const wide = (line) => line.low && chart.spec.leads.includes(line.name);
    // The best lie on top of the others.
    const order = names(chart.spec);
    shown.sort((a, b) => order.indexOf(b.name) - order.indexOf(a.name));
    chart.rows = new Map();
    const marks = marked(chart, shown).map(({ mark: [x, y] }) => ({ x: [x], y: [y] }));
    const table = [recompute.align([...shown, ...marks], ["y"], false)[0]];
    for (const line of shown) {
      chart.rows.set(line.name, table.length);
      const columns = wide(line) ? ["y", "low", "high"] : ["y"];
      const [xs, ...rows] = recompute.align([line], columns, false);
      const place = new Map(xs.map((x, i) => [x, i]));
      for (const row of rows) {
        const full = table[0].map((x) => (place.has(x) ? row[place.get(x)] : null));
        if (chart.spec.steps) for (let i = 1; i < full.length; i++) full[i] ??= full[i - 1];
        table.push(full.map((v) => (chart.logy && v <= 0 ? null : v)));
      }
    }
    // Lines of their own, so that the axis has room for them.
    for (const { x, y } of marks) table.push(table[0].map((at) => (at === x[0] && !(chart.logy && y[0] <= 0) ? y[0] : null)));
    chart.table = table;
    return shown;
  }

  function readout(chart) {
    if (!chart.plot) return;
    const index = chart.plot.cursor.idx;
    const at = index ?? chart.table[0].length - 1;
    const x = chart.table[0][at];
    const unit = chart.spec.unit ?? "";
    chart.at.textContent = x === undefined ? "nothing shown" : `${index === null || index === undefined ? "end: " : ""}${axes.format(x)} ${x === 1 ? unit.replace(/s$/, "") : unit}`;
    for (const [name, output] of chart.outputs) {
      const row = chart.rows.get(name);
      output.textContent = row === undefined ? "" : axes.format(recompute.before(chart.table[row], at));
    }
  }

  function near(chart, index) {
    const name = index === null ? null : chart.plot.series[index]?.label;
    for (const [other, button] of chart.buttons) button.classList.toggle("near", other === name);
  }

  // A sample of a line, as in the legend of a printed figure.
  function sample(name, named) {
    const look = looks.get(name) ?? { colour: "ink", dash: "none" };
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 24 8");
    svg.setAttribute("aria-hidden", "true");
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", "M1 4L23 4");
    path.style.cssText = `stroke:var(--${named ? look.colour : "rest"});stroke-width:2;fill:none;stroke-dasharray:${named ? look.dash : "none"}`;
    svg.append(path);
    return svg;
  }

  function legend(chart) {
    const list = make("div", { class: "legend" }, chart.at);
    for (const name of names(chart.spec)) {
      const lead = chart.spec.leads.includes(name);
      const output = make("output");
      const button = make("button", { type: "button", class: lead ? "lead" : "", title: "hide or show " + name,
        "aria-pressed": "true", onclick: () => toggle("optimizers", name),
        onmouseenter: () => focus(chart, name), onmouseleave: () => focus(chart, null) },
      sample(name, lead || chart.spec.named.includes(name)), make("b", {}, name), output);
      chart.outputs.set(name, output);
      chart.buttons.set(name, button);
      list.append(button);
    }
    return list;
  }

  function focus(chart, name) {
    const row = chart.rows?.get(name);
    chart.plot?.setSeries(row === undefined ? null : row, { focus: true });
  }

  function build(figure) {
    const spec = JSON.parse(one("script.spec", figure).textContent);
    const title = one("figcaption b", figure).textContent;
    const canvas = make("div", { class: "canvas", tabindex: "0", role: "application",
      "aria-label": title + " Left and right move the cursor, plus and minus zoom, 0 shows all." });
    const chart = { spec, figure, canvas, logx: !!spec.logx, logy: !!spec.log, asinhy: false, outputs: new Map(), buttons: new Map(),
      zoom: "", controls: [], at: make("div", { class: "at" }), told: make("div", { class: "hush", "aria-live": "polite" }) };
    canvas.addEventListener("keydown", (event) => keys(chart, event));
    // Before uPlot itself, which shows all then.
    canvas.addEventListener("dblclick", () => { chart.zoom = ""; }, true);
    chart.box = make("div", { class: "live" }, canvas, legend(chart), chart.told);
    one(".plot", figure).before(chart.box);
    charts.set(figure, chart);
    if (draw(chart)) {
      one(".plot", figure).classList.add("drawn");
      tools(chart);
    }
    mark();
  }

  function tools(chart) {
    const bar = one(".tools", chart.figure);
    const buttons = new Map();
    const scale = (axis, label, title, other) => {
      const press = () => {
        chart[axis] = !chart[axis];
        if (other && chart[axis]) chart[other] = false;
        buttons.forEach((button, of) => button.setAttribute("aria-pressed", String(chart[of])));
        draw(chart);
      };
      const button = make("button", { type: "button", title, "aria-pressed": String(chart[axis]), onclick: press }, label);
      buttons.set(axis, button);
      return button;
    };
    chart.controls = [scale("logx", "log x", "logarithmic: what is not positive is left out"),
      scale("logy", "log y", "logarithmic: what is not positive is left out", "asinhy"),
      scale("asinhy", "asinh y", "logarithmic on both sides of zero, linear in between", "logy"),
      make("button", { type: "button", onclick: () => draw(chart) }, "Show all"),
      make("span", {}, "drag to zoom; keys: ← → move, + − zoom, 0 all · ")];
    bar.prepend(...chart.controls);
  }

  function keys(chart, event) {
    const { plot, table } = chart;
    const xs = table[0];
    const { min, max } = plot.scales.x;
    const index = plot.cursor.idx ?? xs.length - 1;
    const move = (to) => {
      const x = xs[Math.max(0, Math.min(xs.length - 1, to))];
      if (x < min || x > max) pan(chart, x < min ? min : max, x);
      plot.setCursor({ left: plot.valToPos(x, "x"), top: plot.bbox.height / devicePixelRatio / 2 });
    };
    // Never beyond the data: there is nothing to see, and on a logarithmic axis no place.
    const zoom = (factor) => {
      const middle = Math.min(max, Math.max(min, xs[index]));
      const [from, to] = [xs[0], xs[xs.length - 1]];
      const range = { min: Math.max(from, middle - (middle - min) * factor), max: Math.min(to, middle + (max - middle) * factor) };
      if (!(range.min < range.max)) return;
      const whole = range.min === from && range.max === to;
      if (chart.zoom !== "xy") chart.zoom = whole ? "" : "x";
      plot.setScale("x", range);
    };
    const actions = { ArrowLeft: () => move(index - 1), ArrowRight: () => move(index + 1), Home: () => move(0),
      End: () => move(xs.length - 1), "+": () => zoom(0.5), "=": () => zoom(0.5), "-": () => zoom(2), 0: () => draw(chart), Escape: () => draw(chart) };
    if (!actions[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    actions[event.key]();
    tell(chart);
  }

  // Moves what is seen along the axis until its edge is where `x` was.
  function pan(chart, edge, x) {
    const { plot } = chart;
    const [across, up] = ["x", "y"].map((axis) => ({ min: plot.scales[axis].min, max: plot.scales[axis].max }));
    const along = chart.logx ? (v) => v * (x / edge) : (v) => v + (x - edge);
    plot.batch(() => {
      plot.setScale("x", { min: along(across.min), max: along(across.max) });
      if (chart.zoom === "xy") plot.setScale("y", up);
    });
  }

  // What the legend reads, for those who do not see it: of the best only, for it is said at every key.
  function tell(chart) {
    readout(chart);
    const best = chart.spec.leads.filter((name) => chart.rows.has(name)).map((name) => `${name} ${chart.outputs.get(name).textContent}`);
    chart.told.textContent = [chart.at.textContent, ...best].join(", ");
  }

  // ---- hiding ----

  function toggle(kind, name) {
    if (!hidden[kind].delete(name)) hidden[kind].add(name);
    refresh();
  }

  function refresh() {
    mark();
    for (const chart of charts.values()) draw(chart, true);
  }

  // What is said beside the figures and tables that still count what is hidden.
  const remarks = new Map();

  function remark(before, of) {
    const element = make("p", { class: "caption remark", hidden: "" });
    remarks.set(element, of);
    before.before(element);
  }

  const NAMED = 6;

  // Whether a printed figure would be another one without what is hidden: without an optimizer only the
  // profile would, for it is relative to the best.
  function differs(figure) {
    return hidden.seeds.size + hidden.runs.size > 0 || (hidden.optimizers.size > 0 && figure.id === "fig-profile");
  }

  function beside(figure) {
    if (!differs(figure)) return "";
    const again = charts.has(figure) && charts.get(figure).spec.kind !== "lines";
    const table = one(".numbers", figure) ? " and the numbers below" : "";
    return again ? `The chart leaves out what is hidden. Its SVG, PNG and print${table} are of all runs.`
      : `This figure is of all runs: what is hidden is not left out of its values.`;
  }

  // The same for a figure that leaves the page.
  function leftOut(figure) {
    const names = [...hidden.optimizers];
    const without = names.length > NAMED ? count(names.length, "optimizer") : names.join(", ");
    return [...(without ? ["not drawn: " + without] : []),
      ...(differs(figure) ? ["computed from all runs, those hidden on the page too"] : [])].join(" · ");
  }

  function mark() {
    const gone = (name) => hidden.optimizers.has(name);
    for (const chart of charts.values()) {
      for (const [name, button] of chart.buttons) {
        button.classList.toggle("gone", gone(name));
        button.setAttribute("aria-pressed", String(!gone(name)));
      }
    }
    for (const group of all("[data-series]")) group.style.display = gone(group.dataset.series) ? "none" : "";
    for (const button of all("#shown button[data-kind]")) {
      button.setAttribute("aria-pressed", String(!hidden[button.dataset.kind].has(button.dataset.name)));
    }
    for (const box of all("input[data-run]")) box.checked = !hidden.runs.has(box.dataset.run);
    const some = hidden.optimizers.size + hidden.seeds.size + hidden.runs.size;
    const given = report.optimizers.length;
    one("#shown .state").textContent = some ? `${given - hidden.optimizers.size} of ${count(given, "optimizer")} shown` +
      (hidden.seeds.size ? `, ${count(hidden.seeds.size, "seed")} hidden` : "") +
      (hidden.runs.size ? `, ${count(hidden.runs.size, "run")} hidden` : "")
      : given === 1 ? "1 optimizer shown" : `all ${given} optimizers shown`;
    one("#shown .reset").disabled = some === 0;
    for (const [element, of] of remarks) {
      element.textContent = some ? of() : "";
      element.hidden = !element.textContent;
    }
  }

  function bar() {
    const seeds = [...new Set(report.tasks.flatMap((t) => t.runs.map((r) => String(r.seed))))];
    const chip = (kind, name, label) => make("button", { type: "button", "data-kind": kind, "data-name": name,
      onclick: () => toggle(kind, name) }, label);
    const chips = make("div", { class: "chips", id: "chips", hidden: "" },
      ...report.optimizers.map((o) => chip("optimizers", o.name, o.name)),
      make("span", {}, " seeds: "), ...seeds.map((s) => chip("seeds", s, s)));
    const opener = make("button", { type: "button", "aria-expanded": "false", "aria-controls": "chips", onclick: () => {
      chips.hidden = !chips.hidden;
      opener.setAttribute("aria-expanded", String(!chips.hidden));
    } }, "Choose runs");
    const reset = make("button", { type: "button", class: "reset", onclick: () => {
      Object.values(hidden).forEach((set) => set.clear());
      refresh();
    } }, "Show every run");
    const themes = ["auto", "light", "dark"];
    const theme = make("button", { type: "button", onclick: () => {
      const next = themes[(themes.indexOf(document.documentElement.dataset.theme ?? "auto") + 1) % 3];
      if (next === "auto") delete document.documentElement.dataset.theme;
      else document.documentElement.dataset.theme = next;
      theme.textContent = "Theme: " + next;
      for (const chart of charts.values()) draw(chart, true);
    } }, "Theme: auto");
    const bar = make("div", { id: "shown", role: "region", "aria-label": "Runs shown" },
      make("div", {}, opener, make("span", { class: "state", role: "status" }), make("span", { class: "spring" }), reset, theme),
      make("div", { class: "holder" }, chips));
    document.body.append(bar);
    // What has the focus is not hidden behind it.
    new ResizeObserver(() => { document.documentElement.style.scrollPaddingBottom = `${bar.offsetHeight + 8}px`; }).observe(bar);
  }

  function boxes() {
    // A page that had to leave the runs out has no curve to leave one out of.
    if (!report.tasks.some((task) => task.runs.length)) return;
    for (const row of all("tr[data-run]")) {
      const run = row.dataset.run;
      const box = make("input", { type: "checkbox", "data-run": run, "aria-label": "show run " + run, onchange: () => toggle("runs", run) });
      box.checked = true;
      one("th", row).prepend(box, " ");
    }
  }

  // ---- files ----

  function save(blob, name) {
    const link = make("a", { download: name });
    link.href = URL.createObjectURL(blob);
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  function drawing(tag, attributes, ...children) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
    element.append(...children);
    return element;
  }

  // Words that tell what a figure is where it stands alone: above it, unless a single picture of the full
  // width has axes that say so, and below it.
  function words(figure, parts) {
    const title = one("figcaption b", figure).textContent.replace(/[.]$/, "");
    const bare = parts.length === 1 && parts[0].viewBox.baseVal.width > 400;
    return { above: bare ? [] : [title], below: [leftOut(figure), figure.closest("[data-stamp]").dataset.stamp].filter(Boolean) };
  }

  // The figure as an SVG document of its own, in the colours of the page, without the optimizers that are hidden.
  function picture(figure) {
    const parts = all(".plot > svg", figure);
    const { above, below } = words(figure, parts);
    const [gap, line, letter] = [12, 16, 6.6];
    const { width: wide, height: high } = parts[0].viewBox.baseVal;
    const columns = Math.max(1, Math.min(parts.length, Math.floor(1080 / (wide + gap))));
    const longest = Math.max(...[...above, ...below].map((text) => text.length)) * letter;
    const width = Math.max(columns * (wide + gap), longest + gap) + gap;
    const top = above.length * line + gap;
    const height = top + Math.ceil(parts.length / columns) * (high + gap) + below.length * line;
    // What pictures share is matched by itself, without the picture around it.
    const rules = one("#figure-style").textContent + ".tick{fill:var(--soft)}.grid{stroke:var(--rule)}";
    const style = rules.replace(/var\(--([a-z0-9]+)\)/g, (_, name) => colour(name));
    const svg = drawing("svg", { width, height, viewBox: `0 0 ${width} ${height}` }, drawing("style", {}, style),
      drawing("rect", { width: "100%", height: "100%", fill: colour("paper") }));
    parts.forEach((part, i) => {
      const copy = part.cloneNode(true);
      const { width, height } = part.viewBox.baseVal;
      const place = { x: gap + (i % columns) * (wide + gap), y: top + Math.floor(i / columns) * (high + gap), width, height };
      Object.entries(place).forEach(([name, value]) => copy.setAttribute(name, value));
      svg.append(copy);
    });
    const text = (what, type, y) => drawing("text", { class: type, x: gap, y }, what);
    svg.append(drawing("g", { class: "chart" }, ...above.map((t, i) => text(t, "name", gap + 8 + i * line)),
      ...below.map((t, i) => text(t, "label", height - gap - (below.length - 1 - i) * line))));
    return { text: new XMLSerializer().serializeToString(svg), width, height };
  }

  function image(figure, name) {
    const { text, width, height } = picture(figure);
    const source = new Image();
    source.onload = () => {
      const canvas = make("canvas", { width: 2 * width, height: 2 * height });
      const context = canvas.getContext("2d");
      context.drawImage(source, 0, 0, canvas.width, canvas.height);
      canvas.toBlob((blob) => save(blob, name));
    };
    source.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(text);
  }

  function files(figure) {
    const name = figure.id.replace(/^fig-/, "");
    const tool = (label, action) => make("button", { type: "button", "aria-label": `${label} of ${one("figcaption b", figure).textContent}`, onclick: action }, label);
    const bar = make("div", { class: "tools" },
      tool("SVG", () => save(new Blob([picture(figure).text], { type: "image/svg+xml" }), name + ".svg")),
      tool("PNG", () => image(figure, name + ".png")));
    one("figcaption", figure).after(bar);
    remark(bar, () => beside(figure));
  }

  function downloads() {
    const place = one("#downloads");
    if (report.tasks.some((task) => task.runs.length)) place?.append(" Of the final runs the points that are drawn:");
    report.tasks.forEach((task, i) => task.runs.length && place?.append(" ", make("button", { type: "button", onclick: () =>
      save(new Blob([recompute.table(report, task, numbers(i))], { type: "text/csv" }), task.name + ".csv") },
    `Curves of ${task.name} as CSV`)));
  }

  function start() {
    bar();
    boxes();
    downloads();
    all("figure").forEach(files);
    all(".ranking").forEach((table) => remark(table.closest(".wide"), () =>
      "The ranking is of all optimizers and all runs: what is hidden is not left out of it."));
    const seen = new IntersectionObserver((entries) => entries.filter((e) => e.isIntersecting).forEach((entry) => {
      seen.unobserve(entry.target);
      build(entry.target);
    }), { rootMargin: "400px" });
    all("figure").filter((f) => one("script.spec", f)).forEach((f) => seen.observe(f));
    const resize = () => charts.forEach((c) => c.canvas.clientWidth && c.plot.setSize({ width: c.canvas.clientWidth, height: 400 }));
    addEventListener("resize", resize);
    all(".clocks > input, details").forEach((e) => e.addEventListener(e.tagName === "DETAILS" ? "toggle" : "change", resize));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts.forEach((c) => draw(c, true)));
    addEventListener("beforeprint", () => all("details.task, details.run").forEach((d) => { d.open = true; }));
    mark();
  }

  start();
  return { hidden, toggle, charts, lines, picture };
})();
