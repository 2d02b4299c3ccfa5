// Curves as SVG.

const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [640, 360, 46, 12, 12, 30];

/** Steps of 1, 2 or 5 times a power of ten, about so many. */
export function ticks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough);
  const places = [];
  for (let k = Math.ceil(low / step); k * step <= high; k++) places.push(Number((k * step).toPrecision(12)));
  return places;
}

function element(name, attributes, text) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Draws lines `[{ name, y }]` over x into an SVG element. */
export function draw(svg, x, lines) {
  const finite = lines.flatMap((line) => line.y).filter(Number.isFinite);
  const [first, last] = [x[0], x[x.length - 1]];
  let [low, high] = [Math.min(0, ...finite), Math.max(0, ...finite)];
  if (low === high) high = low + 1;
  const margin = 0.05 * (high - low);
  [low, high] = [low - margin, high + margin];
  const across = (value) => LEFT + ((value - first) / (last - first)) * (WIDTH - LEFT - RIGHT);
  const down = (value) => HEIGHT - BOTTOM - ((value - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  svg.replaceChildren();
  for (const tick of ticks(first, last, 8)) {
    const place = across(tick);
    svg.append(element('line', { class: tick === 0 ? 'axis' : 'grid', x1: place, x2: place, y1: TOP, y2: HEIGHT - BOTTOM }));
    svg.append(element('text', { x: place, y: HEIGHT - 8, 'text-anchor': 'middle' }, tick));
  }
  for (const tick of ticks(low, high, 6)) {
    const place = down(tick);
    svg.append(element('line', { class: tick === 0 ? 'axis' : 'grid', x1: LEFT, x2: WIDTH - RIGHT, y1: place, y2: place }));
    svg.append(element('text', { x: LEFT - 6, y: place + 4, 'text-anchor': 'end' }, tick));
  }
  svg.append(element('rect', { class: 'frame', x: LEFT, y: TOP, width: WIDTH - LEFT - RIGHT, height: HEIGHT - TOP - BOTTOM }));
  lines.forEach((line, i) => {
    let path = '';
    line.y.forEach((y, k) => {
      const gap = !Number.isFinite(y);
      if (!gap) path += `${path === '' || !Number.isFinite(line.y[k - 1]) ? 'M' : 'L'}${across(x[k]).toFixed(1)} ${down(y).toFixed(1)}`;
    });
    svg.append(element('path', { class: line.name, d: path }));
    svg.append(element('text', { class: `of-${line.name}`, x: LEFT + 10, y: TOP + 20 + 18 * i }, line.name));
  });
}
