// Life for report.html: tables that sort and filter, charts over time, light and dark.
// Without it, tables and pictures are still there.
"use strict";

(() => {
  const $ = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  // ---- Tables --------------------------------------------------------------------------------

  /** Rows that go on paper; the rest is for the screen. The page says so where there are more. */
  const ON_PAPER = 40;

  /** What a cell is sorted by: a number, or text in small letters; null if it is empty. */
  const sortKey = (cell) => {
    const text = cell.textContent;
    if (text === "") return null;
    if (!cell.classList.contains("n")) return text.toLowerCase();
    return Number(cell.dataset.v ?? text);
  };

  /** Orders keys; cells without a value come last whatever the direction. */
  const compare = (one, other, direction) => {
    if (one === null || other === null) return (one === null) - (other === null);
    if (typeof one === "number") return direction * (one - other);
    return direction * one.localeCompare(other, "en", { numeric: true });
  };

  const liven = (table) => {
    const body = table.tBodies[0];
    const heads = all("thead th", table);
    const rows = [...body.rows];
    const texts = rows.map((row) => row.textContent.toLowerCase());
    const section = table.closest("section");
    const filter = $("input[type=search]", section);
    const count = $("output", section);

    const markForPaper = () => {
      let shown = 0;
      for (const row of body.rows) {
        if (!row.hidden) shown += 1;
        row.classList.toggle("beyond", !row.hidden && shown > ON_PAPER);
      }
    };

    const sort = (column) => {
      const head = heads[column];
      const isNumber = head.classList.contains("n");
      // Large numbers and the beginning of the alphabet are what people look for first.
      const first = isNumber ? "descending" : "ascending";
      const second = isNumber ? "ascending" : "descending";
      const order = head.getAttribute("aria-sort") === first ? second : first;
      const direction = order === "ascending" ? 1 : -1;
      heads.forEach((other) => other.setAttribute("aria-sort", other === head ? order : "none"));
      const keyed = [...body.rows].map((row) => [sortKey(row.cells[column]), row]);
      keyed.sort((one, other) => compare(one[0], other[0], direction));
      body.append(...keyed.map(([, row]) => row));
      markForPaper();
    };

    /** Shows the rows that hold every word of the filter. */
    const apply = () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      rows.forEach((row, at) => {
        row.hidden = !words.every((word) => texts[at].includes(word));
        if (!row.hidden) shown += 1;
      });
      const of = rows.length.toLocaleString("en");
      count.textContent = words.length ? `${shown.toLocaleString("en")} of ${of} rows` : `${of} rows`;
      markForPaper();
    };

    heads.forEach((head, column) => {
      const button = make("button", { type: "button" }, make("span", {}, ...head.childNodes));
      button.addEventListener("click", () => sort(column));
      head.setAttribute("aria-sort", "none");
      head.append(button);
    });
    filter.addEventListener("input", apply);
    filter.closest(".tools").hidden = false;
    table.classList.add("live");
    apply();
  };

  all("table.sortable").forEach(liven);

  // ---- Charts --------------------------------------------------------------------------------

  // The colours of Okabe and Ito, which stay apart for colour-blind eyes, on light and dark.
  const COLORS = ["#0072b2", "#e69f00", "#56b4e9", "#cc79a7", "#009e73", "#d55e00", "#8c8c8c", "#b8a800"];
  const PART_COLORS = ["#0072b2", "#e69f00", "#56b4e9", "#cc79a7"];
  /** Lines where all caches are shown. */
  const MOST_LINES = COLORS.length;
  const HEIGHT = 260;

  /** From empty slabs, red, to full ones, blue. */
  const fillColor = (bin, bins) => `hsl(${Math.round(8 + (202 * bin) / (bins - 1))} 62% ${56 - Math.round((10 * bin) / (bins - 1))}%)`;

  const bytes = (value) => {
    const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let unit = 0;
    while (value >= 1023.95 && unit + 1 < units.length) {
      value /= 1024;
      unit += 1;
    }
    return unit === 0 ? `${Math.round(value)} B` : `${value.toFixed(1)} ${units[unit]}`;
  };
  const number = (value) => value.toLocaleString("en", { maximumFractionDigits: value < 100 ? 1 : 0 });
  const seconds = (value) => `${value.toFixed(value < 10 ? 4 : 3)} s`;
  const powersOfTwo = Array.from({ length: 60 }, (_, power) => 2 ** power);

  const UNITS = {
    bytes: { show: bytes, tick: bytes, incrs: powersOfTwo, name: "memory" },
    slabs: { show: (value) => `${number(value)} slabs`, tick: number, name: "slabs" },
    rate: { show: (value) => `${number(value)} /s`, tick: number, name: "per second" },
  };

  const data = JSON.parse($("#data").textContent);

  /** The charts of a choice: what each shows, as series that share their moments. */
  const chartsOf = (chosen) => {
    const cache = data.caches[chosen];
    const single = chosen > 0;
    const whose = single ? cache.name : "all caches";
    const sum = (values) => values.reduce((total, value) => total + value, 0);
    const peak = (values) => values.reduce((most, value) => Math.max(most, value), 0);
    /** One line for a cache; for all, those caches that have most. */
    const lines = (key, weigh) => {
      const caches = single ? [cache] : data.caches.slice(1).filter((one) => peak(one[key]) > 0);
      const ranked = caches.map((one) => [weigh(one[key]), one]).sort((one, other) => other[0] - one[0]);
      return ranked.slice(0, MOST_LINES).map(([, one], at) => ({ label: one.name, color: COLORS[at], values: one[key] }));
    };
    const most = (what) => (single ? `${what}: ${whose}` : `${what}: the ${Math.min(MOST_LINES, data.caches.length - 1)} caches with most`);
    return [
      {
        id: "slabs",
        title: `Slab memory and what of it is live: ${whose}`,
        x: data.samples_s,
        unit: UNITS.bytes,
        series: [
          { label: "in slabs", color: "#d55e00", values: cache.slabs },
          // Without those from before the trace, which the parts below have.
          { label: "live objects of the trace", color: "#0072b2", values: cache.live, fill: true },
        ],
      },
      { id: "caches", title: most("Slab memory by cache"), x: data.samples_s, unit: UNITS.bytes, series: single ? [] : lines("slabs", peak) },
      {
        id: "parts",
        title: `Slab memory by part: ${whose}`,
        x: data.looks_s,
        unit: UNITS.bytes,
        stacked: true,
        series: cache.parts.map((values, at) => ({ label: data.part_names[at], color: PART_COLORS[at], values })),
      },
      {
        id: "occupancy",
        title: `Slabs by how full they are (live objects, % of a slab): ${whose}`,
        x: data.looks_s,
        unit: UNITS.slabs,
        stacked: true,
        series: cache.occupancy
          .map((values, at) => ({ label: `${data.bin_names[at]} %`, color: fillColor(at, data.bin_names.length), values }))
          .filter((one) => peak(one.values) > 0)
          .reverse(),
      },
      { id: "churn", title: most("Allocations per second"), x: data.middles_s, unit: UNITS.rate, series: lines("allocs", sum) },
      { id: "moves", title: most("Slabs put on and taken off nodes' lists per second"), x: data.middles_s, unit: UNITS.rate, series: lines("moves", sum) },
    ].filter((chart) => chart.x.length > 1 && chart.series.some((one) => peak(one.values) > 0));
  };

  /** Plots on the page; they share the cursor and what of the time they show. */
  let plots = [];
  const moments = [data.samples_s, data.looks_s, data.middles_s].filter((times) => times.length > 1);
  const whole = { min: Math.min(...moments.map((times) => times[0])), max: Math.max(...moments.map((times) => times.at(-1))) };
  let shown = whole;

  const show = ({ min, max }) => {
    if (max <= min) return;
    shown = { min: Math.max(min, whole.min), max: Math.min(max, whole.max) };
    plots.forEach((plot) => plot.setScale("x", shown));
  };

  /** What is under the cursor, as text: the moment, then each series with its own value. */
  const reading = (chart, at) => [
    seconds(chart.x[at]),
    ...chart.series.map((one) => `${one.label}: ${chart.unit.show(one.values[at] ?? 0)}`),
  ];

  /** Shows what is under the cursor in a box beside it. */
  const tooltip = (chart) => {
    const tip = make("div", { className: "tip", hidden: true });
    return {
      hooks: {
        init: (plot) => plot.over.append(tip),
        setCursor: (plot) => {
          const { idx, left, top } = plot.cursor;
          // Only where the pointer or the keys are: the other charts show their values in the legend. A plot that was just replaced is nowhere.
          const isHere = plot.root.parentElement?.matches(":hover, :focus-visible");
          tip.hidden = idx == null || left < 0 || !isHere;
          if (tip.hidden) return;
          const rows = chart.series.map((one) => {
            const mark = make("i");
            mark.style.background = one.color;
            return make("div", {}, mark, make("span", { textContent: one.label }), make("b", { textContent: chart.unit.show(one.values[idx] ?? 0) }));
          });
          tip.replaceChildren(make("div", {}, make("b", { textContent: seconds(chart.x[idx]) })), ...rows);
          const isRight = left > plot.over.clientWidth / 2;
          tip.style.left = isRight ? "auto" : `${left + 14}px`;
          tip.style.right = isRight ? `${plot.over.clientWidth - left + 14}px` : "auto";
          tip.style.top = `${Math.max(0, Math.min(top, plot.over.clientHeight - tip.offsetHeight))}px`;
        },
      },
    };
  };

  /** Heights to draw: of stacked series sums, so that each is what it adds. */
  const heights = (chart) => {
    if (!chart.stacked) return chart.series.map((one) => one.values);
    const sums = chart.x.map(() => 0);
    return chart.series.map((one) => one.values.map((value, at) => (sums[at] += value)));
  };

  const draw = (chart, box, width) => {
    const style = getComputedStyle(box);
    const axis = { stroke: style.color, grid: { stroke: style.borderColor, width: 1 }, ticks: { stroke: style.borderColor, width: 1 }, font: "12px system-ui, sans-serif", labelFont: "12px system-ui, sans-serif" };
    const drawn = chart.series.map((one, at) => ({ ...one, at }));
    const tops = heights(chart);
    // The highest first: what lower areas leave of it is its own part.
    if (chart.stacked) drawn.reverse();
    const options = {
      width,
      height: HEIGHT,
      plugins: [tooltip(chart)],
      cursor: { sync: { key: "time", setSeries: false }, y: false, drag: { x: true, y: false, setScale: false }, focus: { prox: 16 }, bind: { dblclick: () => () => show(whole) } },
      focus: { alpha: chart.stacked ? 1 : 0.35 },
      scales: { x: { time: false }, y: { range: (_, min, max) => [0, max > 0 ? max * 1.05 : 1] } },
      legend: { live: true },
      axes: [
        { ...axis, label: "seconds since the first event", labelSize: 18, size: 34 },
        { ...axis, size: 78, incrs: chart.unit.incrs, values: (_, ticks) => ticks.map(chart.unit.tick), label: chart.unit.name, labelSize: 18 },
      ],
      series: [
        { label: "at", value: (_, value) => (value == null ? "–" : seconds(value)) },
        ...drawn.map((one) => ({
          label: one.label,
          stroke: one.color,
          width: chart.stacked ? 1 : 1.6,
          fill: chart.stacked ? one.color : one.fill ? `${one.color}30` : undefined,
          points: { show: false },
          value: (_, __, ___, at) => (at == null ? "–" : chart.unit.show(one.values[at] ?? 0)),
        })),
      ],
      hooks: {
        setSelect: [
          (plot) => {
            const { left, width: across } = plot.select;
            if (across === 0) return;
            show({ min: plot.posToVal(left, "x"), max: plot.posToVal(left + across, "x") });
            plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          },
        ],
      },
    };
    return new uPlot(options, [chart.x, ...drawn.map((one) => tops[one.at])], box);
  };

  /** Arrows move the cursor, + and - zoom about it, 0 shows all. */
  const onKey = (event, chart, plot) => {
    const { min, max } = plot.scales.x;
    const at = plot.cursor.idx ?? plot.valToIdx((min + max) / 2);
    const steps = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10, Home: -Infinity, End: Infinity }[event.key];
    const zooms = { "+": 0.5, "=": 0.5, "-": 2 }[event.key];
    if (steps !== undefined) {
      const next = Math.max(plot.valToIdx(min), Math.min(plot.valToIdx(max), at + steps));
      plot.setCursor({ left: plot.valToPos(chart.x[next], "x"), top: plot.over.clientHeight / 3 });
      $("#reading").textContent = reading(chart, next).join(", ");
    } else if (zooms !== undefined) {
      const half = ((max - min) * zooms) / 2;
      const middle = chart.x[at];
      show({ min: middle - half, max: middle + half });
    } else if (event.key === "0" || event.key === "Escape") {
      show(whole);
    } else {
      return;
    }
    event.preventDefault();
  };

  const room = $("#charts");
  const picker = $("#cache");

  /** Draws everything anew: for another cache, other colours or paper. */
  const redraw = (width) => {
    const wide = width ?? room.clientWidth;
    plots.forEach((plot) => plot.destroy());
    room.replaceChildren();
    const charts = chartsOf(Number(picker.value));
    const boxes = charts.map((chart) => {
      const box = make("div", { className: `plot${chart.stacked ? " stacked" : ""}`, tabIndex: 0, id: `chart-${chart.id}` });
      box.setAttribute("role", "img");
      const last = reading(chart, chart.x.length - 1);
      box.setAttribute("aria-label", `${chart.title}. At the end, ${last.join(", ")}.`);
      room.append(make("figure", { className: "chart" }, make("figcaption", { textContent: chart.title }), box));
      return box;
    });
    plots = charts.map((chart, at) => draw(chart, boxes[at], wide));
    charts.forEach((chart, at) => boxes[at].addEventListener("keydown", (event) => onKey(event, chart, plots[at])));
    if (!charts.length) room.append(make("p", { className: "none", textContent: "Nothing to draw." }));
    show(shown);
  };

  if (room) {
    data.caches.forEach((cache, at) => picker.append(make("option", { value: String(at), textContent: cache.name })));
    if (data.left_out > 0) {
      $("#chart-tools").append(make("span", { className: "hint", textContent: `${number(data.left_out)} smaller caches are in the sum only; the table timeline has all.` }));
    }
    picker.addEventListener("change", () => redraw());
    $("#unzoom").addEventListener("click", () => show(whole));
    $("#chart-tools").hidden = false;
    redraw();
    let width = room.clientWidth;
    new ResizeObserver(() => {
      if (room.clientWidth === width || room.clientWidth === 0) return;
      width = room.clientWidth;
      // Not at once: a change of sizes while sizes are told would be told again.
      requestAnimationFrame(() => plots.forEach((plot) => plot.setSize({ width, height: HEIGHT })));
    }).observe(room);
  }

  // ---- Light, dark, paper --------------------------------------------------------------------

  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
  const button = $("#theme");
  const showTheme = () => {
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `Use ${isDark() ? "light" : "dark"} colours`);
    if (room) redraw();
  };
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    // Storage may be forbidden for files: then the choice lasts as long as the page.
    try { localStorage.setItem("slubreplay-theme", root.dataset.theme); } catch { /* see above */ }
    showTheme();
  });
  dark.addEventListener("change", showTheme);
  try {
    const kept = localStorage.getItem("slubreplay-theme");
    if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  } catch { /* see above */ }
  button.hidden = false;
  showTheme();

  // Canvases do not follow the style sheet of paper: they are drawn in its colours and width.
  const PAPER_WIDTH = 680;
  addEventListener("beforeprint", () => {
    const theme = root.dataset.theme;
    root.dataset.theme = "light";
    if (room) redraw(PAPER_WIDTH);
    if (theme) root.dataset.theme = theme;
    else delete root.dataset.theme;
  });
  addEventListener("afterprint", () => room && redraw());
})();
