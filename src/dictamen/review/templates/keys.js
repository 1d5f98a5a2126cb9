// One table of keys, used to act and to explain.
export const KEYS = [
  ["1 … 5", "score the region (5: perfect, saved at once)"],
  ["O U M", "too much (over), too little (under), mixed: saved with the score"],
  ["N", "nothing wrong: score 5"],
  ["S", "skip the region"],
  ["Z", "undo the last answer"],
  ["Enter", "next region without an answer, then the next study"],
  ["← →", "the region before, the next region"],
  ["↑ ↓", "axial slice up, down (on a plane: its own slices; Page keys: ten)"],
  ["T", "outlines on or off"],
  ["W", "next window"],
  ["/", "search studies"],
  ["?", "this help"],
];

export function listen(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]")) return;
    const typing = event.target.matches("input:not([type=checkbox]):not([type=range]), select, textarea");
    if (typing) { if (event.key === "Escape") event.target.blur(); return; }
    if (event.key === "Enter" && event.target.matches("button, summary")) return;  // Enter presses the button
    const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (action) { event.preventDefault(); action(event); }
  });
}
