// The statistics page: how the raters do.
import { get } from "./api.js";
import { element } from "./report.js";

const shown = (value) => (value === null || value === undefined ? "–" : String(value));

function table(headings, rows) {
  const made = document.createElement("table"), head = made.createTHead().insertRow();
  for (const heading of headings) head.append(element("th", heading, { scope: "col" }));
  const body = made.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    for (const cell of row) line.append(element("td", shown(cell)));
  }
  return made;
}

export async function showStatistics() {
  const told = await get("/api/statistics");
  document.getElementById("figures").replaceChildren(
    element("p", `${told.regions} regions scored, ${told.gold} with a known answer.`),
    table(
      ["rater", "answers", "skipped", "1", "2", "3", "4", "5", "s a region", "gold", "gold equal", "gold kappa", "severity", "noise", "direction"],
      told.raters.map((r) => [r.rater, r.answers, r.skipped, ...r.scores, r.seconds, r.gold, r.gold_exact, r.gold_kappa, r.severity, r.noise, r.direction_trust]),
    ),
    element("p", "Severity: how much higher, in Dice, a region must be for the same score; noise: spread of the reading, in Dice (ordinal model of double reads and gold regions). Direction: mean probability of naming the right side (Dawid-Skene).", { className: "muted" }),
    element("h2", "Agreement of pairs (weighted kappa)"),
    table(["pair", "regions", "kappa"], told.pairs.map((p) => [`${p.first} – ${p.second}`, p.regions, p.kappa])),
  );
  document.getElementById("statistics").showModal();
}
