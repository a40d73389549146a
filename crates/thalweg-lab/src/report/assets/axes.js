"use strict";
// Numbers as the page writes them, and what an axis shows: the rules of `markup.rs` and `draw/axis.rs` once more.
// Pure functions; nothing here touches the page.

const axes = (() => {
  // A value with three significant digits or more, as a power of ten where that helps.
  function format(value, after = 2) {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    if (!Number.isFinite(value)) return "∞";
    if (value === 0) return "0";
    const exponent = magnitude(value);
    if (exponent >= -3 && exponent <= 4) return String(Number(rounded(value, Math.max(after, exponent))));
    const [mantissa, power] = rounded(value, after).split("e");
    const raised = [...String(Number(power))].map((c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c])).join("");
    return (Number(mantissa) === 1 ? "" : Number(mantissa) + "·") + "10" + raised;
  }

  // A value with so many digits after its first. Of two that are equally near it is the even one, as in Rust:
  // `toExponential` alone takes the larger.
  function rounded(value, after) {
    const [all, power] = value.toExponential(100).split("e");
    const end = all.indexOf(".") + 1 + after;
    const even = /^50*$/.test(all.slice(end)) && "02468".includes(all[end - 1]);
    return even ? `${all.slice(0, end)}e${power}` : value.toExponential(after);
  }

  // The power of ten of the first digit.
  const magnitude = (value) => Math.floor(Math.log10(Math.abs(value)));

  // Values side by side, each with as many more digits as tell it from the nearest one that differs by more than
  // round-off; nothing for those that have no label.
  function apart(values) {
    const nearest = (value) => Math.min(...values.filter((v) => v !== null).map((v) => Math.abs(v - value))
      .filter((away) => away > 1e-6 * Math.abs(value)));
    return values.map((v) => (v === null ? "" : format(v, Math.max(2, magnitude(v) - magnitude(nearest(v))))));
  }

  // As in the printed figures: a logarithmic axis shows no more than so many decades below its top.
  const DECADES = 14;

  function reach(min, max) {
    if (!(max > 0)) return [1, 10];
    const low = Math.max(min, max * 10 ** -DECADES);
    return low < max ? [low, max] : [low / 2, max * 2];
  }

  function evenly(low, high, wanted) {
    const raw = (high - low) / wanted;
    const step = [1, 2, 5, 10].map((m) => m * 10 ** Math.floor(Math.log10(raw))).find((s) => s >= raw) ?? raw;
    const all = [];
    for (let i = Math.ceil(low / step); i * step <= high; i++) all.push(Number((i * step).toPrecision(12)));
    return all;
  }

  // About so many round values between two ends of a logarithmic axis: the finest of three grids that is
  // not much finer. A narrow range may lie between two of them, and there both scales are much the same.
  function rounds(low, high, wanted) {
    const all = grid(low, high, wanted);
    return all.length < 2 && high < 10 * low ? evenly(low, high, wanted) : all;
  }

  function grid(low, high, wanted) {
    const [first, last] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high))];
    const within = (multiples, every) => {
      const all = [];
      for (let e = Math.ceil(first / every) * every; e <= last; e += every) {
        for (const m of multiples) all.push(Number(`${m}e${e}`));
      }
      return all.filter((v) => v >= low && v <= high);
    };
    const fine = within([1, 2, 3, 4, 5, 6, 7, 8, 9], 1);
    if (fine.length <= wanted + 1) return fine;
    const medium = within([1, 2, 5], 1);
    if (medium.length <= wanted + 2) return medium;
    return within([1], Math.max(1, Math.ceil(Math.log10(high / low) / wanted)));
  }

  // Where an axis that is logarithmic on both sides of zero is linear: below nine tenths of the values.
  function linear(table) {
    const sizes = table.slice(1).flat().filter((v) => v).map(Math.abs).sort((a, b) => a - b);
    if (!sizes.length) return 1;
    return Math.max(sizes[Math.floor(sizes.length / 10)], sizes[sizes.length - 1] * 10 ** -DECADES);
  }

  // Round values on both sides of zero, and zero where there is room for it.
  function sides(low, high, middle, wanted) {
    const side = (from, to) => (to > from ? grid(from, to, wanted / (low < 0 && high > 0 ? 2 : 1)) : []);
    const all = [...side(Math.max(middle, -high), -low).map((v) => -v).reverse(), ...(low <= 0 && high >= 0 ? [0] : []),
      ...side(Math.max(middle, low), high)];
    return all.length < 3 ? evenly(low, high, wanted) : all;
  }

  // The ticks of uPlot itself throw where values are tiny, and label one value where there is no whole decade.
  const ticks = (places) => ({ splits: (_, i, min, max) => places(min, max), filter: (_, splits) => splits,
    incrs: (_, i, min, max) => [Math.max(5, max - min)], space: 0 });
  const logarithmic = (wanted) => ticks((min, max) => rounds(min, max, wanted));
  const both = (middle, wanted) => ticks((min, max) => sides(min, max, middle, wanted));

  // What lies at whole numbers has no ticks between them.
  const WHOLE = Array.from({ length: 30 }, (_, i) => [1, 2, 5][i % 3] * 10 ** Math.floor(i / 3));
  const whole = (xs) => (xs.every(Number.isInteger) ? { incrs: WHOLE } : {});

  return { format, apart, reach, linear, logarithmic, both, whole };
})();
