// The mask's surface as points, turned by dragging or with the arrow keys.
import { bytes } from "./api.js";

export class Surface {
  constructor() {
    this.canvas = document.getElementById("surface");
    this.turn = 0.5;
    this.tilt = 0.25;
    this.points = null;
    this.region = null;
    this.canvas.addEventListener("pointermove", (event) => {
      if (!(event.buttons & 1)) return;
      this.rotate(event.movementX * 0.01, event.movementY * 0.01);
    });
    this.canvas.addEventListener("keydown", (event) => {
      const turns = { ArrowLeft: [-0.15, 0], ArrowRight: [0.15, 0], ArrowUp: [0, -0.15], ArrowDown: [0, 0.15] };
      if (event.key in turns) { event.preventDefault(); this.rotate(...turns[event.key]); }
    });
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  rotate(turn, tilt) {
    this.turn += turn;
    this.tilt = Math.max(-1.5, Math.min(1.5, this.tilt + tilt));
    this.draw();
  }

  // Nothing of the study before may stay beside the next one.
  clear() {
    this.points = null;
    this.opened = (this.opened || 0) + 1;
    this.draw();
  }

  async open(number, gap) {
    const opened = this.opened;
    const buffer = await bytes(`/api/studies/${number}/surface`), count = new Uint32Array(buffer, 0, 1)[0];
    if (this.opened !== opened) return;  // another study has been opened meanwhile
    this.gap = gap;  // distance of neighbouring points, mm
    this.points = new Float32Array(buffer, 4, 3 * count);
    this.regions = new Uint8Array(buffer, 4 + 12 * count, count);
    this.draw();
  }

  show(region) { this.region = region; this.draw(); }

  draw() {
    const canvas = this.canvas, ratio = window.devicePixelRatio || 1;
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * ratio));
    canvas.height = Math.max(1, Math.round(canvas.clientHeight * ratio));
    if (!this.points || !this.points.length) return;
    const { width, height } = canvas, pixels = new ImageData(width, height), depth = new Float32Array(width * height).fill(-Infinity);
    const cosTurn = Math.cos(this.turn), sinTurn = Math.sin(this.turn), cosTilt = Math.cos(this.tilt), sinTilt = Math.sin(this.tilt);
    let reach = 1;
    for (const value of this.points) reach = Math.max(reach, Math.abs(value));
    const zoom = (0.42 * Math.min(width, height)) / reach, size = Math.max(2, Math.ceil(zoom * this.gap * 1.5));
    for (let i = 0; i < this.regions.length; i++) {
      const x = this.points[3 * i], y = this.points[3 * i + 1], z = this.points[3 * i + 2];
      const right = -x * cosTurn + y * sinTurn, back = -x * sinTurn - y * cosTurn;  // seen from the front, as in the coronal plane
      const up = z * cosTilt - back * sinTilt, near = -(back * cosTilt + z * sinTilt);
      const shade = 0.35 + 0.65 * Math.min(1, Math.max(0, 0.5 + near / (2 * reach)));
      const chosen = this.regions[i] === this.region, colour = chosen ? [255, 209, 102] : this.regions[i] % 2 ? [79, 209, 197] : [64, 170, 190];
      const left = Math.round(width / 2 + right * zoom - size / 2), top = Math.round(height / 2 - up * zoom - size / 2);
      for (let row = Math.max(0, top); row < Math.min(height, top + size); row++) {
        for (let column = Math.max(0, left); column < Math.min(width, left + size); column++) {
          const at = row * width + column;
          if (near <= depth[at]) continue;
          depth[at] = near;
          for (let channel = 0; channel < 3; channel++) pixels.data[4 * at + channel] = colour[channel] * shade;
          pixels.data[4 * at + 3] = 255;
        }
      }
    }
    canvas.getContext("2d").putImageData(pixels, 0, 0);
  }
}
