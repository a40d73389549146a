// Opens a report in headless Chromium: light, dark, print, on a phone, without scripts and in a chosen theme; walks it
// with the keyboard; and checks that what the page computes again is what the report was drawn from.
//
// node walk.mjs REPORT CHROMIUM PICTURES

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [report, executablePath, pictures] = process.argv.slice(2);
mkdirSync(pictures, { recursive: true });
const url = pathToFileURL(report).href;
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const OPTIMIZERS = [...new Set(JSON.parse(readFileSync(report.replace(/report\.html$/, "results.json"), "utf8"))
  .outcome.tasks.flatMap((task) => task.standings.map((standing) => standing.optimizer)))];
// Of targets with the same left above the smallest loss, but for round-off, the first counts.
const distinct = (task, targets) => {
  const left = ({ loss }) => loss - (task.scale.above ?? 0);
  const same = (a, b) => Math.abs(a - b) <= 1e-6 * Math.max(Math.abs(a), Math.abs(b));
  return targets.filter((target, i) => !targets.slice(0, i).some((t) => same(left(t), left(target))));
};
const DESK = { viewport: { width: 1280, height: 900 } };

async function visit(name, options, steps) {
  const context = await browser.newContext({ acceptDownloads: true, ...options });
  // A machine that builds something else meanwhile is slow, not wrong.
  context.setDefaultTimeout(180_000);
  const page = await context.newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(error.message));
  page.on("console", (message) => { if (message.type() === "error") wrong.push(message.text()); });
  page.on("request", (request) => {
    if (!/^(file|data|blob):/.test(request.url())) wrong.push("asked for " + request.url());
  });
  await page.goto(url);
  await steps(page);
  await page.screenshot({ path: `${pictures}/${name}.png`, fullPage: true });
  await context.close();
  assert.deepEqual(wrong, [], name);
  console.log("ok", name);
}

const background = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
// Every kind of section, the maps of the task with two coordinates and what the probes show among them.
const SECTIONS = ["results", "tunability", "targets", "curves", "paths", "basin", "fairness", "why", "diagnosis", "runs", "manifest"];

// A figure whose pictures are seen in some size, with ink in them.
async function drawn(page, id) {
  const pictures = page.locator(`#fig-${id} svg.chart`);
  assert.ok((await pictures.count()) > 0, `${id} has no picture`);
  for (const picture of await pictures.all()) {
    const { width, height } = await picture.boundingBox();
    assert.ok(width > 100 && height > 50, `${id} is ${width} by ${height}`);
  }
  return pictures;
}

// Maps of the task with two coordinates: heights, a way for every optimizer, and the minimum.
async function maps(page) {
  const large = await drawn(page, "rosenbrock-paths");
  assert.equal(await large.count(), 1);
  assert.ok((await large.locator(".height").count()) > 3, "contours");
  // The key beside the map has a sample of each way, without a title.
  const ways = await large.locator("[data-series]:has(> title)").evaluateAll((all) => all.map((g) => g.dataset.series));
  assert.deepEqual(ways.sort(), [...OPTIMIZERS].sort());
  assert.equal(await (await drawn(page, "rosenbrock-each-path")).count(), OPTIMIZERS.length);
}

// What the probes show: a row of rates per optimizer, and panels.
async function probes(page) {
  assert.equal(await (await drawn(page, "digits-mlp-effective-rate")).count(), OPTIMIZERS.length);
  assert.ok((await (await drawn(page, "digits-mlp-update-ratio")).count()) > 2);
  const lines = page.locator("#fig-digits-mlp-effective-rate .series .line");
  assert.ok((await lines.count()) >= 4 * OPTIMIZERS.length, "a line for every parameter");
}

const wide = (page) => page.evaluate(() => document.documentElement.scrollWidth - innerWidth);

// Brings every chart alive: they are drawn when they come near.
async function wake(page) {
  await page.evaluate(() => document.querySelectorAll("details.task").forEach((d) => { d.open = true; }));
  for (const figure of await page.locator("figure:has(script.spec):visible").all()) {
    await figure.scrollIntoViewIfNeeded();
    await figure.locator("canvas").first().waitFor();
  }
}

await visit("light", DESK, async (page) => {
  assert.equal(await background(page), "rgb(255, 255, 255)");
  assert.ok((await wide(page)) <= 0, "the page scrolls sideways");
  await wake(page);
  assert.ok((await page.locator("canvas").count()) >= 4);
  const broken = await page.evaluate(() => [...document.querySelectorAll("code")]
    .filter((code) => code.getClientRects().length > 1).map((code) => code.textContent));
  assert.deepEqual(broken, [], "code stays on its line");
  await maps(page);
  await probes(page);
});

await visit("dark", { ...DESK, colorScheme: "dark" }, async (page) => {
  assert.equal(await background(page), "rgb(21, 24, 28)");
  await wake(page);
});

await visit("dark-without-scripts", { ...DESK, colorScheme: "dark", javaScriptEnabled: false }, async (page) => {
  assert.equal(await background(page), "rgb(21, 24, 28)");
  assert.ok(await page.locator("#fig-ranks svg.chart").isVisible());
  await maps(page);
  await probes(page);
});

// The reader's choice outranks the system's, on the screen only.
for (const [system, chosen, paper] of [["light", "dark", "rgb(21, 24, 28)"], ["dark", "light", "rgb(255, 255, 255)"]]) {
  await visit(`${chosen}-chosen`, { ...DESK, colorScheme: system }, async (page) => {
    const button = page.getByRole("button", { name: /^Theme/ });
    while (!(await button.textContent()).endsWith(chosen)) await button.click();
    assert.equal(await background(page), paper);
    await page.emulateMedia({ media: "print" });
    assert.equal(await background(page), "rgb(255, 255, 255)", "paper is white");
    await page.emulateMedia({ media: "screen" });
  });
}

await visit("without-scripts", { ...DESK, javaScriptEnabled: false }, async (page) => {
  for (const id of SECTIONS) assert.ok(await page.locator("#" + id).isVisible(), id);
  await maps(page);
  await probes(page);
  assert.equal(await page.locator("canvas").count(), 0);
  const clock = page.locator(".clocks").first();
  assert.ok(await clock.locator(".v0 svg.chart").isVisible());
  await clock.locator("label").last().click();
  assert.ok(!(await clock.locator(".v0 svg.chart").isVisible()), "clocks are chosen without scripts");
  assert.ok(!(await page.locator("body").innerText()).includes('"kind"'), "data shows on the page");
});

await visit("phone", { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true }, async (page) => {
  await wake(page);
  assert.ok((await wide(page)) <= 0, "the page is wider than a phone");
  await maps(page);
});

await visit("print", DESK, async (page) => {
  await wake(page);
  await page.emulateMedia({ media: "print", colorScheme: "dark" });
  assert.equal(await background(page), "rgb(255, 255, 255)", "paper is white");
  assert.ok(!(await page.locator("canvas").first().isVisible()));
  assert.ok(await page.locator("#fig-profile svg.chart, figure svg.chart").first().isVisible());
  const pdf = await page.pdf({ path: `${pictures}/print.pdf`, format: "A4" });
  assert.ok(pdf.length > 20_000);
});

// A finding leads to the figure that shows it, a heading of the table of signs to its own.
await visit("findings", { ...DESK, javaScriptEnabled: false }, async (page) => {
  const links = page.locator("#diagnosis .findings a, #why .signs thead a");
  assert.ok((await links.count()) > 3);
  const targets = new Set(await links.evaluateAll((all) => all.map((a) => a.getAttribute("href"))));
  for (const target of targets) assert.ok(await page.locator(target).isVisible(), target);
  const finding = page.locator("#diagnosis .findings details:has(a)").first();
  await finding.locator("summary").click();
  const link = finding.locator("a").first();
  const target = await link.getAttribute("href");
  await link.click();
  const seen = await page.locator(target).evaluate((figure) => {
    const { top, bottom } = figure.getBoundingClientRect();
    return top < innerHeight && bottom > 0;
  });
  assert.ok(seen, `${target} is in sight`);
});

await visit("keyboard", DESK, async (page) => {
  await wake(page);
  await page.locator("#shown button").first().click();
  const controls = await page.evaluate(() => {
    const shown = (e) => e.checkVisibility() && !e.disabled;
    const all = [...document.querySelectorAll("a[href], button, input, summary, [tabindex='0']")].filter(shown);
    // Of a group of radio buttons Tab reaches the chosen one, the arrows the others.
    const kept = all.filter((e) => e.type !== "radio" || e.checked);
    kept.forEach((e, i) => { e.dataset.stop = i; });
    return kept.length;
  });
  await page.evaluate(() => { document.activeElement?.blur(); scrollTo(0, 0); });
  await page.locator("body").focus();
  const reached = new Set();
  const covered = new Set();
  for (let i = 0; i < controls + 20; i++) {
    await page.keyboard.press("Tab");
    const stop = await page.evaluate(() => document.activeElement?.dataset?.stop);
    if (stop !== undefined) reached.add(stop);
    const hidden = await page.evaluate(() => {
      const [focus, bar] = [document.activeElement, document.getElementById("shown")];
      const { top, bottom } = focus.getBoundingClientRect();
      return !bar.contains(focus) && bottom - top < 300 && bottom > bar.getBoundingClientRect().top + 1;
    });
    if (hidden) covered.add(stop);
  }
  assert.deepEqual([...covered], [], "nothing that has the focus is behind the bar");
  assert.equal(reached.size, controls, "every control can be reached with Tab");

  const chart = page.locator("#curves .canvas").first();
  await chart.focus();
  const at = page.locator("#curves .legend .at").first();
  await page.keyboard.press("Home");
  const first = await at.textContent();
  await page.keyboard.press("ArrowRight");
  assert.notEqual(await at.textContent(), first, "arrows move the read-out");
  const span = () => page.evaluate(() => {
    const { min, max } = [...live.charts.values()].find((c) => c.figure.closest("#curves")).plot.scales.x;
    return max - min;
  });
  const whole = await span();
  await page.keyboard.press("+");
  assert.ok((await span()) < whole, "plus zooms in");
  // What the cursor points at is in sight, however far it goes.
  const cursor = () => page.evaluate(() => {
    const { plot } = [...live.charts.values()].find((c) => c.figure.closest("#curves"));
    const { min, max } = plot.scales.x;
    return { left: plot.cursor.left, width: plot.over.clientWidth, x: plot.data[0][plot.cursor.idx], last: plot.data[0].at(-1), min, max };
  });
  await page.keyboard.press("+");
  await page.keyboard.press("Home");
  const near = await span();
  for (const key of [...Array(40).fill("ArrowRight"), "End"]) {
    await page.keyboard.press(key);
    const { left, width, x, min, max } = await cursor();
    assert.ok(left >= 0 && left <= width + 1 && x >= min - 1e-6 && x <= max + 1e-6, `${key}: ${left} of ${width}`);
  }
  const end = await cursor();
  assert.equal(end.x, end.last, "End is the end");
  assert.ok(Math.abs((await span()) - near) < 1e-6 * near, "moving does not zoom");
  const told = await page.locator("#curves .hush").first().textContent();
  assert.match(told, /[a-z]+ [0-9.]+/, "values are told");
  await page.keyboard.press("0");
  assert.equal(await span(), whole, "0 shows all");
});

// A box drawn over one chart zooms that one, and none of those that share its cursor.
await visit("zoom", DESK, async (page) => {
  await wake(page);
  const scales = () => page.evaluate(() => [...live.charts.values()].map(({ plot }) =>
    ["x", "y"].map((axis) => [plot.scales[axis].min, plot.scales[axis].max])));
  const over = page.locator("#curves .u-over").first();
  await over.scrollIntoViewIfNeeded();
  const zoomed = await over.evaluate((e) => [...live.charts.values()].findIndex((c) => c.canvas.contains(e)));
  const { x, y, width, height } = await over.boundingBox();
  const before = await scales();
  await page.mouse.move(x + 0.3 * width, y + 0.2 * height);
  await page.mouse.down();
  await page.mouse.move(x + 0.6 * width, y + 0.7 * height, { steps: 5 });
  await page.mouse.up();
  const after = await scales();
  const span = ([[low, high]]) => high - low;
  assert.ok(span(after[zoomed]) < 0.5 * span(before[zoomed]), "dragging zooms");
  const others = (all) => all.filter((_, i) => i !== zoomed);
  assert.ok(others(before).length > 2);
  assert.deepEqual(others(after), others(before), "one chart at a time");
});

// The page and the report write numbers alike.
await visit("numbers", DESK, async (page) => {
  const [alone, beside] = await page.evaluate(() => [
    [0, 0.125, 20, 1234, 1012.5, 1013.5, -1012.5, 1.125, 100500, 101500, 1.0050000000000001, 49920, 1e-4, 2.5e-6, 9.999e-7, Infinity, null].map((v) => axes.format(v)),
    [[2.295, 2.3, 2.305], [100000, 100500], [0.23119, 0.23147, 0.5], [2.220446e-14, 3e-20], [0, 0.5, null]].map(axes.apart),
  ]);
  assert.deepEqual(alone, ["0", "0.125", "20", "1234", "1012", "1014", "-1012", "1.12", "10⁵", "1.02·10⁵", "1.01", "49920", "10⁻⁴", "2.5·10⁻⁶", "10⁻⁶", "∞", "–"]);
  assert.deepEqual(beside, [["2.295", "2.3", "2.305"], ["10⁵", "1.005·10⁵"], ["0.2312", "0.2315", "0.5"],
    ["2.22·10⁻¹⁴", "3·10⁻²⁰"], ["0", "0.5", ""]]);
});

// The axis has room for the losses of the defaults.
await visit("defaults", DESK, async (page) => {
  await wake(page);
  const charts = await page.evaluate(() => [...live.charts.values()].filter((c) => c.figure.closest("#tunability")).map(({ spec, plot }) => {
    const { min, max } = plot.scales.y;
    const marks = spec.lines.filter((line) => line.mark && spec.named.includes(line.name)).map((line) => line.mark[1]);
    return { min, max, marks: marks.filter((loss) => loss !== null), trials: plot.axes[0]._values };
  }));
  assert.ok(charts.some(({ marks }) => marks.length > 2));
  for (const { trials } of charts) assert.ok(trials.length > 1 && !trials.some((label) => label.includes(".")), `ticks at ${trials}`);
  for (const { min, max, marks } of charts) assert.ok(marks.every((loss) => loss >= min && loss <= max), `${marks} between ${min} and ${max}`);
});

// Every scale of a chart has ticks, and two of them cannot be chosen at once.
await visit("scales", DESK, async (page) => {
  await wake(page);
  const figures = await page.locator("figure:has(canvas):visible").all();
  for (const figure of figures) {
    const button = (name) => figure.getByRole("button", { name, exact: true });
    const pressed = (name) => button(name).getAttribute("aria-pressed");
    const ticks = () => figure.evaluate((f) => {
      const { plot } = live.charts.get(f);
      const { min, max } = plot.scales.y;
      return plot.axes[1]._splits.filter((v) => v >= min && v <= max).length;
    });
    const logarithmic = await pressed("log y");
    await button("asinh y").click();
    assert.deepEqual([await pressed("asinh y"), await pressed("log y")], ["true", "false"]);
    assert.ok((await ticks()) > 1, "ticks on both sides of zero");
    await button("log y").click();
    assert.deepEqual([await pressed("asinh y"), await pressed("log y")], ["false", "true"]);
    if (logarithmic === "false") await button("log y").click();
    assert.ok((await ticks()) > 1);
  }
  assert.ok(figures.length >= 4);
  await figures[0].getByRole("button", { name: "asinh y", exact: true }).click();
});

await visit("hidden-runs", DESK, async (page) => {
  await wake(page);
  // With nothing hidden the page computes what the report was drawn from.
  const outcome = JSON.parse(readFileSync(report.replace(/report\.html$/, "results.json"), "utf8")).outcome;
  const near = (a, b, what) => assert.ok(Math.abs(a - b) <= 2e-6 * Math.max(1e-6, Math.abs(b)), `${what}: ${a} and ${b}`);
  const lines = (figure) => page.evaluate((id) => {
    const chart = [...live.charts.values()].find((c) => c.figure.id === id);
    return live.lines(chart.spec);
  }, figure);
  // Means on the scale of the ranking; none of those that are left after one has diverged.
  const band = (runs, left) => page.evaluate(([r, l]) => recompute.band(r, l), [runs, left]);
  const runs = [{ x: [0, 1, 2], y: [100, 10, 4], lasts: 3 }, { x: [0, 1], y: [1, 10], lasts: 2 }];
  assert.deepEqual((await band(runs, false)).y, [50.5, 10]);
  near((await band(runs, true)).y[0], 10, "geometric");
  // Every measure ends where the validation loss of the first run does, as the printed lines do.
  const ends = await page.evaluate(() => {
    const report = { columns: ["gradients", "train", "validation"] };
    const run = (seed, from, validation) => ({ optimizer: "a", seed, count: 3, at: [0, from, validation] });
    const task = { name: "t", runs: [run(1, 3, 6), run(2, 3, 9)], costs: { a: 1 }, minimum: null };
    const numbers = Float64Array.from([0, 1, 2, 9, 8, 7, 6, 5, 4, 6, 5, Infinity]);
    return ["train", "validation"].map((m) => recompute.curves(report, task, numbers, m, "gradients", () => true)[0].y);
  });
  assert.deepEqual(ends, [[9, 8], [6, 5]]);
  for (const task of outcome.tasks) {
    const drawn = new Map((await lines(`fig-${task.task}-validation-gradients`)).map((l) => [l.name, l]));
    // What is drawn is left above the smallest loss.
    const minimum = task.scale.above ?? 0;
    for (const standing of task.standings) {
      const line = drawn.get(standing.optimizer);
      standing.curve.forEach((point, i) => {
        const { mean, low, high } = point.validation_loss;
        assert.equal(line.x[i], point.gradients);
        near(line.y[i], mean - minimum, "mean");
        near(line.low[i], low - minimum, "low");
        near(line.high[i], high - minimum, "high");
      });
    }
  }
  const profile = async () => new Map((await lines("fig-profile")).map((l) => [l.name, l]));
  const height = (line, ratio) => line.y[line.x.filter((x) => x <= ratio * (1 + 1e-9)).length - 1];
  const whole = await profile();
  for (const { solver, steps } of outcome.profiles) {
    for (const [ratio, share] of steps.filter(([r]) => r <= 16)) near(height(whole.get(solver), ratio), share, solver);
  }
  for (const task of outcome.tasks) {
    for (const line of await lines(`fig-${task.task}-targets`)) {
      const targets = task.standings.find((s) => s.optimizer === line.name).to_target;
      const all = distinct(task, targets).flatMap((t) => t.gradients);
      near(line.y.at(-1), all.filter((at) => at !== null).length / all.length, `targets of ${line.name}`);
    }
  }
  // Hiding the best makes the others look better, or at least not worse; showing it again undoes that.
  const best = outcome.profiles[0].solver;
  await page.locator("#shown button").first().click();
  await page.locator(`#chips button[data-name="${best}"]`).click();
  const without = await profile();
  assert.ok(!without.has(best));
  let gained = 0;
  for (const [name, line] of without) {
    assert.ok(height(line, 1) >= height(whole.get(name), 1), name);
    gained += height(line, 1) - height(whole.get(name), 1);
  }
  assert.ok(gained > 0, "somebody else is the fastest now");
  assert.ok(!(await page.locator(`#fig-ranks [data-series="${best}"]`).isVisible()));
  for (const figure of ["rosenbrock-paths", "digits-mlp-effective-rate", "digits-mlp-update-ratio"]) {
    assert.ok(!(await page.locator(`#fig-${figure} [data-series="${best}"]`).first().isVisible()), figure);
  }
  await page.locator("#shown .reset").click();
  assert.deepEqual(await profile(), whole);

  // A hidden seed leaves the bands.
  const task = outcome.tasks[0];
  const id = `fig-${task.task}-validation-gradients`;
  const before = await lines(id);
  await page.locator(`#chips button[data-kind="seeds"]`).first().click();
  const after = await lines(id);
  const last = (l) => l.high[l.high.length - 1] - l.low[l.low.length - 1];
  assert.ok(after.every((l, i) => last(l) <= last(before[i]) + 1e-12));
  assert.ok(after.some((l, i) => last(l) < last(before[i])));
  const seed = await page.locator(`#chips button[data-kind="seeds"]`).first().getAttribute("data-name");
  for (const line of await lines(`fig-${task.task}-targets`)) {
    const standing = task.standings.find((s) => s.optimizer === line.name);
    const kept = distinct(task, standing.to_target).flatMap((t) => t.gradients.filter((_, i) => String(standing.seeds[i].seed) !== seed));
    near(line.y.at(-1), kept.filter((at) => at !== null).length / kept.length, `kept targets of ${line.name}`);
  }
  await page.locator("#shown .reset").click();
});

await visit("files", DESK, async (page) => {
  const figure = page.locator("figure").first();
  const download = async (button) => {
    const [file] = await Promise.all([page.waitForEvent("download"), button.click()]);
    return readFileSync(await file.path());
  };
  const svg = (await download(figure.getByRole("button", { name: /^SVG/ }))).toString();
  assert.ok(svg.startsWith("<svg") && svg.includes("http://www.w3.org/2000/svg") && !svg.includes("var("));
  assert.match(svg, />thalweg [0-9.]+ · 3 tasks · tier smoke · 3 final seeds · 80 gradient evaluations per run<\/text>/, "it says what it is of");
  const png = await download(figure.getByRole("button", { name: /^PNG/ }));
  assert.equal(png.subarray(1, 4).toString(), "PNG");
  const csv = (await download(page.locator("#downloads button").first())).toString();
  assert.ok(csv.startsWith("task,optimizer,seed,gradients,seconds,train,validation,metric\n"));
  // A formula has no training loss and no metric, and no empty columns for them.
  const plain = (await download(page.locator("#downloads button", { hasText: "rosenbrock" }))).toString();
  assert.ok(plain.startsWith("task,optimizer,seed,gradients,seconds,validation\n"), plain.slice(0, 80));
  assert.match(await page.locator("#downloads").innerText(), /thalweg export/);
});

await browser.close();
