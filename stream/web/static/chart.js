// A line over the last minutes.

const SECONDS = 300;

export class Chart {
  // points: [seconds of the run, value or null], oldest first; colour: a custom property of the style sheet.
  constructor(canvas, colour) {
    this.canvas = canvas;
    this.colour = colour;
    this.points = [];
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  add(at, value) {
    if (this.points.length && at <= this.points.at(-1)[0]) return;
    this.points.push([at, value]);
    while (this.points[0][0] < at - SECONDS) this.points.shift();
  }

  get isEmpty() {
    return this.points.every(([, value]) => value === null);
  }

  draw() {
    const { canvas } = this;
    const density = window.devicePixelRatio || 1;
    const width = canvas.clientWidth;
    const height = canvas.clientHeight;
    if (!width || !height) return;
    canvas.width = Math.round(width * density);
    canvas.height = Math.round(height * density);
    const context = canvas.getContext("2d");
    context.scale(density, density);
    const style = getComputedStyle(canvas);
    const most = nice(Math.max(...this.points.map(([, value]) => value ?? 0), 0));
    const inner = { left: 32, right: width - 4, top: 6, bottom: height - 14 };
    const minutes = this.points.length ? Math.ceil((this.points.at(-1)[0] - this.points[0][0] - 1) / 60) : 0;
    const span = { most, minutes: Math.min(Math.max(minutes, 1), SECONDS / 60) };
    drawAxes(context, style, inner, span);
    if (this.points.length) this.drawLine(context, style.getPropertyValue(this.colour), inner, span);
  }

  drawLine(context, colour, inner, { most, minutes }) {
    const last = this.points.at(-1)[0];
    const x = (at) => inner.right - ((last - at) / (minutes * 60)) * (inner.right - inner.left);
    const y = (value) => inner.bottom - (value / most) * (inner.bottom - inner.top);
    context.lineWidth = 1.5;
    context.lineJoin = "round";
    context.strokeStyle = context.fillStyle = colour;
    for (const run of runs(this.points)) {
      context.beginPath();
      run.forEach(([at, value], n) => (n ? context.lineTo(x(at), y(value)) : context.moveTo(x(at), y(value))));
      context.stroke();
      context.lineTo(x(run.at(-1)[0]), inner.bottom);
      context.lineTo(x(run[0][0]), inner.bottom);
      context.globalAlpha = 0.13;
      context.fill();
      context.globalAlpha = 1;
    }
  }
}

function drawAxes(context, style, inner, { most, minutes }) {
  context.font = `10px ${style.fontFamily}`;
  context.fillStyle = style.getPropertyValue("--dim");
  context.strokeStyle = style.getPropertyValue("--line");
  context.lineWidth = 1;
  context.textBaseline = "middle";
  context.textAlign = "right";
  for (const share of [0, 0.5, 1]) {
    const y = Math.round(inner.bottom - share * (inner.bottom - inner.top)) + 0.5;
    context.beginPath();
    context.moveTo(inner.left, y);
    context.lineTo(inner.right, y);
    context.stroke();
    if (share !== 0.5) context.fillText(share ? short(most) : "0", inner.left - 5, y);
  }
  context.textBaseline = "bottom";
  context.textAlign = "left";
  context.fillText(`${minutes} min ago`, inner.left, inner.bottom + 14);
  context.textAlign = "right";
  context.fillText("now", inner.right, inner.bottom + 14);
}

function short(value) {
  return value >= 1000 ? `${value / 1000}k` : String(value);
}

// Points in a row that all have a value.
function runs(points) {
  const found = [[]];
  for (const point of points) {
    if (point[1] === null) found.push([]);
    else found.at(-1).push(point);
  }
  return found.filter((run) => run.length > 1);
}

// The least of 1, 2, 5, 10, 20, … that is as large.
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}
