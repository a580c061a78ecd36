// Draws the people of a record on a canvas, in the colours of the overlay video.

const DARK = "rgb(20 20 24)";

// Hues go round by the golden ratio, and none is darker than mid grey: stream/draw.py has the same.
export function colourOf(id) {
  const hue = (id * 0.6180339887498949) % 1;
  const channel = (n) => {
    const k = (n + hue * 6) % 6;
    return 1 - 0.8 * Math.max(0, Math.min(k, 4 - k, 1));
  };
  const rgb = [channel(5), channel(3), channel(1)];
  const light = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
  return mixed(rgb.map((part) => part * 255), Math.max(0, (0.55 - light) / (1 - light)));
}

function mixed(rgb, white) {
  return rgb.map((part) => Math.round(part + (255 - part) * white));
}

function css(rgb) {
  return `rgb(${rgb.join(" ")})`;
}

// context: of a canvas whose whole area is the picture; record: keypoints.v1; setup: names, limbs, kpt_thr.
export function drawPeople(context, record, setup) {
  const { width, height } = context.canvas;
  const to = ([x, y]) => [(x * width) / record.width, (y * height) / record.height];
  const unit = Math.sqrt(width * height) / 960;
  context.lineCap = "round";
  context.lineJoin = "round";
  for (const person of record.people) drawPerson(context, person, to, unit, setup);
  for (const person of record.people) drawLabel(context, person, to, unit);
}

function drawPerson(context, person, to, unit, setup) {
  const colour = colourOf(person.id);
  const pens = { right: css(colour), left: css(mixed(colour, 0.5)) };
  const isLeft = (at) => setup.names[at].startsWith("left");
  const isRight = (at) => setup.names[at].startsWith("right");
  const seen = person.keypoints.map(([, , confidence]) => confidence >= setup.kpt_thr);
  const at = person.keypoints.map(to);
  const [x1, y1] = to(person.box);
  const [x2, y2] = to(person.box.slice(2));
  const size = Math.sqrt(Math.max(1, (x2 - x1) * (y2 - y1)));
  const line = Math.max(1.5, Math.min(Math.max(2, 3 * unit), size / 55));
  const halo = Math.max(1, 1.2 * unit);

  drawCorners(context, [x1, y1, x2, y2], line * 0.6, halo, pens.right);
  const limbs = setup.limbs.filter(([a, b]) => seen[a] && seen[b]);
  const left = ([a, b]) => (isLeft(a) || isLeft(b)) && !isRight(a) && !isRight(b);
  drawLimbs(context, limbs, at, line + 2 * halo, DARK);
  drawJoints(context, person, at, seen, line, halo, () => DARK);
  drawLimbs(context, limbs.filter((limb) => !left(limb)), at, line, pens.right);
  drawLimbs(context, limbs.filter(left), at, line, pens.left);
  drawJoints(context, person, at, seen, line, 0, (joint) => (isLeft(joint) ? pens.left : pens.right));
}

function drawLimbs(context, limbs, at, width, colour) {
  context.beginPath();
  for (const [a, b] of limbs) {
    context.moveTo(...at[a]);
    context.lineTo(...at[b]);
  }
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.stroke();
}

function drawJoints(context, person, at, seen, line, more, colour) {
  person.keypoints.forEach(([, , confidence], joint) => {
    if (!seen[joint]) return;
    context.beginPath();
    context.arc(...at[joint], line * (0.6 + 0.8 * confidence) + more, 0, 2 * Math.PI);
    context.fillStyle = colour(joint);
    context.fill();
  });
}

function drawCorners(context, [x1, y1, x2, y2], width, halo, colour) {
  const reach = 0.16 * Math.min(x2 - x1, y2 - y1);
  context.beginPath();
  for (const [x, sx] of [[x1, reach], [x2, -reach]]) {
    for (const [y, sy] of [[y1, reach], [y2, -reach]]) {
      context.moveTo(x + sx, y);
      context.lineTo(x, y);
      context.lineTo(x, y + sy);
    }
  }
  context.lineWidth = width + 2 * halo;
  context.strokeStyle = DARK;
  context.stroke();
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.stroke();
}

function drawLabel(context, person, to, unit) {
  const [x1, y1] = to(person.box);
  const [x2] = to(person.box.slice(2));
  const letters = Math.max(11, 15 * unit);
  context.font = `600 ${letters}px system-ui, sans-serif`;
  const whole = `#${person.id} ${person.score.toFixed(2)}`;
  const text = context.measureText(whole).width <= x2 - x1 ? whole : `#${person.id}`;
  const pad = letters * 0.4;
  const wide = context.measureText(text).width + 2 * pad;
  const high = letters + 2 * pad * 0.7;
  const x = Math.min(Math.max(x1, 0), Math.max(0, context.canvas.width - wide));
  const y = Math.min(Math.max(y1 - high, 0), Math.max(0, context.canvas.height - high));
  context.fillStyle = css(colourOf(person.id));
  context.beginPath();
  context.roundRect(x, y, wide, high, letters * 0.2);
  context.fill();
  context.fillStyle = DARK;
  context.textBaseline = "middle";
  context.fillText(text, x + pad, y + high / 2 + 0.5);
}
