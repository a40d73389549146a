"use strict";
// Means, bands and profiles of the runs that are shown: what the page computes anew when a run is
// hidden. Pure functions; nothing here touches the page.

const recompute = {
  // Little-endian f32 in base64.
  decode(text) {
    const bytes = Uint8Array.from(atob(text.trim()), (c) => c.charCodeAt(0));
    const view = new DataView(bytes.buffer);
    return Float64Array.from({ length: bytes.length / 4 }, (_, i) => view.getFloat32(4 * i, true));
  },

  // One column of a run. Equal columns of several runs lie in one place; one without a number has none.
  column(numbers, columns, run, name) {
    const from = run.at[columns.indexOf(name)];
    return from === null ? new Float64Array(run.count).fill(NaN) : numbers.subarray(from, from + run.count);
  },

  // A column of a run as it was measured: validation losses are packed, and drawn, as what is left above the
  // task's smallest loss, if that is known.
  measured(report, task, numbers, run, name) {
    const column = recompute.column(numbers, report.columns, run, name);
    return name === "validation" && task.minimum ? column.map((v) => v + task.minimum) : column;
  },

  mean(values) {
    return values.length ? values.reduce((sum, v) => sum + v, 0) / values.length : NaN;
  },

  // The mean of losses as the ranking takes it: the geometric one of what is left above a known smallest loss.
  typical(values, left) {
    if (!left || !values.every((v) => v > 0)) return recompute.mean(values);
    return Math.exp(recompute.mean(values.map(Math.log)));
  },

  // How many points of a run come before it diverged, which its validation losses tell, whatever is drawn.
  lasts(losses) {
    const end = losses.findIndex((v) => !Number.isFinite(v));
    return end < 0 ? losses.length : end;
  },

  // Mean, lowest and highest at every point as far as all runs last: a mean of those that are left after one
  // has diverged would flatter. Points where a run has no number are left out.
  band(runs, left = false) {
    const line = { x: [], y: [], low: [], high: [] };
    const shortest = runs.length ? Math.min(...runs.map((r) => r.lasts)) : 0;
    for (let i = 0; i < shortest; i++) {
      const values = runs.map((r) => r.y[i]);
      if (values.some(Number.isNaN)) continue;
      line.x.push(recompute.mean(runs.map((r) => r.x[i])));
      line.y.push(recompute.typical(values, left));
      line.low.push(Math.min(...values));
      line.high.push(Math.max(...values));
    }
    return line;
  },

  // The line of each optimizer over the runs that `shows` keeps; optimizers without a run are left out.
  curves(report, task, numbers, measure, clock, shows) {
    // Runs are counted in gradient evaluations, of which a step takes one or more.
    const factor = (name) => ({ steps: 1, samples: task.batch }[clock] ?? task.costs[name]) / task.costs[name];
    // A share that should be large is drawn as the share of errors.
    const value = measure === "metric" && task.errors ? (v) => 1 - v : (v) => v;
    const lines = new Map();
    for (const run of task.runs) {
      if (!shows(run.optimizer, run.seed, task.name)) continue;
      const x = clock === "seconds" ? recompute.column(numbers, report.columns, run, clock)
        : recompute.column(numbers, report.columns, run, "gradients").map((v) => v * factor(run.optimizer));
      const y = recompute.column(numbers, report.columns, run, measure).map(value);
      if (!lines.has(run.optimizer)) lines.set(run.optimizer, []);
      const lasts = recompute.lasts(recompute.column(numbers, report.columns, run, "validation"));
      lines.get(run.optimizer).push({ x, y, lasts });
    }
    return [...lines].map(([name, runs]) => ({ name, ...recompute.band(runs, measure === "validation" && task.minimum !== null) }));
  },

  // The median cost over the runs that are kept, misses as infinite; null if that is what it is.
  median(costs) {
    const sorted = costs.map((c) => c ?? Infinity).sort((a, b) => a - b);
    const half = sorted.length >> 1;
    const middle = sorted.length % 2 || sorted[half] === Infinity ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
    return Number.isFinite(middle) ? middle : null;
  },

  // The costs of a problem over the runs that `shows` keeps.
  kept(name, problem, shows) {
    return problem.gradients.filter((_, i) => shows(name, problem.seeds[i], problem.task));
  },

  // The cost of every optimizer on every problem over the runs that `shows` keeps; undefined where it has
  // none.
  costs(table, shows) {
    const of = (name, problem) => {
      const kept = problem ? recompute.kept(name, problem, shows) : [];
      return kept.length ? recompute.median(kept) : undefined;
    };
    return Object.fromEntries(Object.entries(table).map(([name, problems]) =>
      [name, problems.map((problem) => of(name, problem))]));
  },

  // The performance profile of Dolan and Moré: for each solver the share of problems that it solves at
  // a cost of at most `ratio` times that of the best solver shown. costs[solver][problem] is null for
  // a miss, and undefined for a problem that it was not given. Who was given none has no profile. Problems that no shown solver solves stay in
  // the denominator.
  profile(costs, limit) {
    const solvers = Object.keys(costs).filter((name) => costs[name].some((cost) => cost !== undefined));
    const problems = solvers.length ? costs[solvers[0]].length : 0;
    const best = Array.from({ length: problems }, (_, p) =>
      Math.min(...solvers.map((s) => costs[s][p] ?? Infinity)));
    return solvers.map((name) => {
      const given = costs[name].filter((cost) => cost !== undefined).length;
      const ratios = costs[name].map((cost, p) => (cost === best[p] ? 1 : (cost ?? Infinity) / best[p]))
        .filter((r) => r <= limit).sort((a, b) => a - b);
      const line = { name, x: [1], y: [ratios.filter((r) => r <= 1).length / given] };
      ratios.forEach((ratio, i) => {
        if (ratio > 1) { line.x.push(ratio); line.y.push((i + 1) / given); }
      });
      line.x.push(limit);
      line.y.push(ratios.length / given);
      return line;
    });
  },

  // For each optimizer the share of its runs and targets that were met by so many gradient evaluations, over
  // the runs that `shows` keeps.
  reached(table, budget, shows) {
    return Object.entries(table).map(([name, targets]) => {
      const all = targets.flatMap((target) => recompute.kept(name, target, shows));
      const met = all.filter((at) => at !== null).sort((a, b) => a - b);
      return { name, x: [0, ...met, budget], y: [0, ...met.map((_, i) => (i + 1) / all.length), met.length / all.length] };
    }).filter((line) => line.y.every(Number.isFinite));
  },

  // Lines with their own positions as one table with shared positions: [x, y of line 0, …], null
  // where a line has no point. A line of steps holds its value up to its last point.
  align(lines, columns, steps) {
    const xs = [...new Set(lines.flatMap((l) => l.x))].sort((a, b) => a - b);
    const place = new Map(xs.map((x, i) => [x, i]));
    const table = [xs];
    for (const line of lines) {
      for (const column of columns) {
        const values = line[column] ?? line.y;
        const row = new Array(xs.length).fill(null);
        line.x.forEach((x, i) => { row[place.get(x)] = Number.isFinite(values[i]) ? values[i] : null; });
        if (steps) {
          const last = place.get(line.x[line.x.length - 1]);
          for (let i = 1; i <= last; i++) row[i] ??= row[i - 1];
        }
        table.push(row);
      }
    }
    return table;
  },

  // The last value of a row at or before `index`.
  before(row, index) {
    for (let i = index; i >= 0; i--) if (row[i] !== null && row[i] !== undefined) return row[i];
    return null;
  },

  // The runs of a task as comma-separated values, one line per point, without the columns that no run has.
  table(report, task, numbers) {
    const names = report.columns.filter((_, i) => task.runs.some((run) => run.at[i] !== null));
    const lines = [["task", "optimizer", "seed", ...names].join(",")];
    for (const run of task.runs) {
      const columns = names.map((name) => recompute.measured(report, task, numbers, run, name));
      for (let i = 0; i < run.count; i++) {
        const values = columns.map((c) => (Number.isFinite(c[i]) ? Number(c[i].toPrecision(8)) : ""));
        lines.push([task.name, run.optimizer, run.seed, ...values].join(","));
      }
    }
    return lines.join("\n") + "\n";
  },
};
