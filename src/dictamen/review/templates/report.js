// The report and its findings. Text goes in as text nodes: it is never read as HTML.
import { get, post } from "./api.js";

const KINDS = ["cyst", "tumour", "metastasis", "benign", "malignant", "uncertain"], SIDES = ["left", "right", "bilateral"];

export function element(tag, text = "", properties = {}) {
  const made = document.createElement(tag);
  made.textContent = text;
  return Object.assign(made, properties);
}

export class Report {
  constructor({ look, tell, timer }) { Object.assign(this, { look, tell, timer }); }

  open(study) {
    this.study = study;
    const box = document.getElementById("report"), list = document.getElementById("findings");
    box.replaceChildren(...study.report.stretches.map((part) => this.stretch(part)));
    if (!study.report.stretches.some((part) => part.text)) box.replaceChildren(element("p", "No report.", { className: "muted" }));
    list.replaceChildren(...study.report.findings.map((finding) => this.row(finding)));
    if (!study.report.findings.length) list.replaceChildren(element("li", "No finding was read.", { className: "muted" }));
  }

  stretch(part) {
    if (part.finding === null) return document.createTextNode(part.text);
    const made = element("button", part.text, { type: "button", title: this.study.report.findings[part.finding].words });
    made.dataset.finding = part.finding;
    made.addEventListener("click", () => this.choose(part.finding));
    return made;
  }

  async choose(number) {
    for (const made of document.querySelectorAll("[data-finding]")) made.classList.toggle("chosen", Number(made.dataset.finding) === number);
    const { voxel } = await get(`/api/studies/${this.study.number}/findings/${number}/place`);
    if (voxel) this.look(voxel);
    else this.tell("There is no mask of the place that this finding names.", true);
  }

  row(finding) {
    const item = document.createElement("li"), words = element("button", finding.words, { type: "button" });
    words.addEventListener("click", () => this.choose(finding.number));
    const state = element("span", finding.verdict ? ` ${finding.verdict}` : "", { className: finding.verdict || "" });
    const tools = element("div", "", { className: "tools" });
    for (const [label, verdict] of [["Confirm", "confirmed"], ["Reject", "rejected"]]) {
      const button = element("button", label, { type: "button" });
      button.addEventListener("click", () => this.say(finding, state, { verdict }));
      tools.append(button);
    }
    const correct = element("button", "Correct …", { type: "button" });
    correct.addEventListener("click", () => { if (!item.querySelector("form")) item.append(this.form(finding, state)); });
    tools.append(correct);
    item.append(words, state, tools);
    return item;
  }

  form(finding, state) {
    const form = document.createElement("form"), fields = {};
    const choice = (name, options, now) => {
      const box = document.createElement("select");
      for (const option of ["", ...options]) box.append(element("option", option, { value: option, selected: option === (now || "") }));
      fields[name] = [box, now || ""];
    };
    choice("kind", KINDS, finding.kind);
    choice("side", SIDES, finding.side);
    fields.structure = [element("input", "", { value: finding.structure }), finding.structure];
    fields.diameters_mm = [element("input", "", { value: finding.diameters_mm.join(" "), placeholder: "mm, spaces between" }), finding.diameters_mm.join(" ")];
    for (const [name, [box]] of Object.entries(fields)) form.append(element("label", name.replace("_mm", " mm"), {}), box);
    form.append(element("span"), element("button", "Save correction", { type: "submit" }));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const changes = {};
      for (const [name, [box, before]] of Object.entries(fields)) {
        const value = box.value.trim();
        if (value && value !== before) changes[name] = name === "diameters_mm" ? value.split(/[\s,;x]+/).map(Number) : value;
      }
      this.say(finding, state, { verdict: "corrected", ...changes }).then((saved) => { if (saved) form.remove(); });
    });
    return form;
  }

  async say(finding, state, body) {
    try {
      await post("/api/verdicts", { study: this.study.number, finding: finding.number, seconds: this.timer(), ...body });
      state.textContent = ` ${body.verdict}`;
      state.className = body.verdict;
      this.tell("Saved.");
      return true;
    } catch (error) {
      this.tell(error.message, true);
      return false;
    }
  }
}
