// Three planes through one voxel. Slices come as they are needed, so the first is there at once, however large the volume.
import { bytes } from "./api.js";

export const WINDOWS = {
  "soft tissue": [-160, 240], liver: [-20, 180], lung: [-1350, 150], bone: [-500, 1300], brain: [0, 80], angio: [-100, 700],
};
// In-plane axes of the arrays [first, second], shown as columns and rows; canonical x, y, z grow right, front, up.
const PLANES = {
  axial: { axis: 2, columns: 0, rows: 1, letters: ["R", "L", "A", "P"] },
  coronal: { axis: 1, columns: 0, rows: 2, letters: ["R", "L", "S", "I"] },
  sagittal: { axis: 0, columns: 1, rows: 2, letters: ["A", "P", "S", "I"] },
};
const IN_MASK = 128;
const KEPT = 160;  // slices in memory, each half a megabyte at 512 x 512

export class Planes {
  constructor(onMove) {
    this.onMove = onMove;
    this.window = WINDOWS["soft tissue"];
    this.outlines = true;
    this.opacity = 0.08;
    this.region = null;
    this.study = null;
    this.cache = new Map();
    this.hasMask = false;
    for (const name of Object.keys(PLANES)) {
      const canvas = document.getElementById(name);
      canvas.addEventListener("wheel", (event) => { event.preventDefault(); this.step(name, Math.sign(event.deltaY)); }, { passive: false });
      canvas.addEventListener("pointerdown", (event) => this.point(name, event));
      canvas.addEventListener("pointermove", (event) => { if (event.buttons & 1) this.point(name, event); });
      canvas.addEventListener("keydown", (event) => {
        const steps = { ArrowUp: 1, ArrowDown: -1, PageUp: 10, PageDown: -10 };
        if (event.key in steps) { event.preventDefault(); this.step(name, steps[event.key]); }
      });
    }
    new ResizeObserver(() => this.draw()).observe(document.getElementById("views"));
  }

  open(study) {
    this.study = study;
    this.cache.clear();
    this.hasMask = false;
    this.region = null;
    this.voxel = study.shape.map((n) => Math.floor(n / 2));
    this.draw();
  }

  maskReady() { this.hasMask = true; this.draw(); }

  look(voxel, region = this.region) {
    this.voxel = voxel.map((value, axis) => Math.min(Math.max(Math.round(value), 0), this.study.shape[axis] - 1));
    this.region = region;
    this.onMove(this.voxel);
    this.draw();
  }

  step(name, by) {
    if (!this.study) return;
    const moved = [...this.voxel];
    moved[PLANES[name].axis] += by;
    this.look(moved);
  }

  point(name, event) {
    if (!this.study) return;
    const plane = PLANES[name], canvas = event.currentTarget, at = this.layout(name, canvas);
    const scale = canvas.width / canvas.clientWidth;
    const column = (event.offsetX * scale - at.left) / at.width, row = (event.offsetY * scale - at.top) / at.height;
    if (column < 0 || column >= 1 || row < 0 || row >= 1) return;
    const moved = [...this.voxel];
    moved[plane.columns] = Math.floor((1 - column) * this.study.shape[plane.columns]);
    moved[plane.rows] = Math.floor((1 - row) * this.study.shape[plane.rows]);
    this.look(moved);
  }

  layout(name, canvas) {
    const { columns, rows } = PLANES[name], { shape, spacing_mm: spacing } = this.study;
    const wide = shape[columns] * spacing[columns], high = shape[rows] * spacing[rows];
    const zoom = Math.min(canvas.width / wide, canvas.height / high);
    const width = wide * zoom, height = high * zoom;
    return { left: (canvas.width - width) / 2, top: (canvas.height - height) / 2, width, height };
  }

  async slice(kind, name, index) {
    const key = `${kind}/${name}/${index}`, study = this.study;
    if (!this.cache.has(key)) {
      if (this.cache.size >= KEPT) this.cache.delete(this.cache.keys().next().value);
      const asked = bytes(`/api/studies/${study.number}/${key}`);
      this.cache.set(key, asked);
      asked.catch(() => { if (this.study === study) this.cache.delete(key); });
    }
    return this.cache.get(key);
  }

  draw() {
    if (!this.study) return;
    for (const name of Object.keys(PLANES)) this.drawPlane(name);
  }

  async drawPlane(name) {
    const plane = PLANES[name], study = this.study, index = this.voxel[plane.axis];
    const image = new Int16Array(await this.slice("image", name, index));
    const overlay = this.hasMask ? new Uint8Array(await this.slice("overlay", name, index)) : null;
    if (this.study !== study || this.voxel[plane.axis] !== index) return;  // something newer is on its way
    const canvas = document.getElementById(name), ratio = window.devicePixelRatio || 1;
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
    canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio));
    const context = canvas.getContext("2d"), at = this.layout(name, canvas);
    const columns = study.shape[plane.columns], rows = study.shape[plane.rows];
    context.imageSmoothingQuality = "high";
    context.drawImage(this.picture(image, overlay, columns, rows), at.left, at.top, at.width, at.height);
    if (overlay && this.outlines) this.drawOutlines(context, overlay, columns, rows, at);
    this.drawCross(context, plane, at, canvas, ratio);
    canvas.dataset.slice = String(index);
  }

  // Arrays are [columns, rows] in memory; on the screen both run backwards: the patient's right is on the left, up is up.
  picture(image, overlay, columns, rows) {
    const [low, high] = this.window, pixels = new ImageData(columns, rows), data = pixels.data;
    for (let column = 0, from = 0; column < columns; column++) {
      for (let row = 0; row < rows; row++, from++) {
        const to = 4 * ((rows - 1 - row) * columns + (columns - 1 - column));
        const grey = Math.min(255, Math.max(0, ((image[from] - low) / (high - low)) * 255));
        const code = overlay ? overlay[from] : 0;
        const here = code & (IN_MASK - 1), fill = code >= IN_MASK ? this.opacity * (here === this.region ? 1.6 : 0.7) : 0;
        const [red, green, blue] = here === this.region ? [255, 209, 102] : [79, 209, 197];
        data[to] = grey * (1 - fill) + red * fill;
        data[to + 1] = grey * (1 - fill) + green * fill;
        data[to + 2] = grey * (1 - fill) + blue * fill;
        data[to + 3] = 255;
      }
    }
    const canvas = new OffscreenCanvas(columns, rows);
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    return canvas;
  }

  drawOutlines(context, overlay, columns, rows, at) {
    const wide = at.width / columns, high = at.height / rows;
    const value = (column, row) => (column < 0 || row < 0 || column >= columns || row >= rows ? 0 : overlay[column * rows + row]);
    const paths = { mask: new Path2D(), chosen: new Path2D(), band: new Path2D() };
    const edge = (code, other) => {
      const mine = (code & 127) === this.region || (other & 127) === this.region;
      if ((code >= IN_MASK) !== (other >= IN_MASK)) return mine ? "chosen" : "mask";
      return mine && (code & 127) !== (other & 127) ? "band" : null;
    };
    for (let column = 0; column <= columns; column++) {
      for (let row = 0; row <= rows; row++) {
        const code = value(column, row), left = value(column - 1, row), below = value(column, row - 1);
        const x = at.left + (columns - column) * wide, y = at.top + (rows - row) * high;
        const upright = code === left ? null : edge(code, left), level = code === below ? null : edge(code, below);
        if (upright) { paths[upright].moveTo(x, y); paths[upright].lineTo(x, y - high); }
        if (level) { paths[level].moveTo(x, y); paths[level].lineTo(x - wide, y); }
      }
    }
    context.lineWidth = 1.5;
    context.setLineDash([]);
    context.strokeStyle = "#4fd1c5";
    context.stroke(paths.mask);
    context.strokeStyle = "#ffd166";
    context.lineWidth = 2;
    context.stroke(paths.chosen);
    context.lineWidth = 1;
    context.setLineDash([2, 3]);
    context.stroke(paths.band);
    context.setLineDash([]);
  }

  drawCross(context, plane, at, canvas, ratio) {
    const { shape } = this.study;
    const x = at.left + (1 - (this.voxel[plane.columns] + 0.5) / shape[plane.columns]) * at.width;
    const y = at.top + (1 - (this.voxel[plane.rows] + 0.5) / shape[plane.rows]) * at.height;
    context.strokeStyle = "#ffffff44";
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x, at.top); context.lineTo(x, at.top + at.height);
    context.moveTo(at.left, y); context.lineTo(at.left + at.width, y);
    context.stroke();
    context.fillStyle = "#b9c2cc";
    context.shadowColor = "#000";  // letters stay readable on bone
    context.shadowBlur = 4 * ratio;
    context.font = `${12 * ratio}px system-ui`;
    const [left, right, top, bottom] = plane.letters, pad = 6 * ratio;
    context.textBaseline = "middle";
    context.textAlign = "left"; context.fillText(left, pad, canvas.height / 2);
    context.textAlign = "right"; context.fillText(right, canvas.width - pad, canvas.height / 2);
    context.textAlign = "center"; context.textBaseline = "top"; context.fillText(top, canvas.width / 2, pad);
    context.textBaseline = "bottom"; context.fillText(bottom, canvas.width / 2, canvas.height - pad);
    context.shadowBlur = 0;
  }
}
