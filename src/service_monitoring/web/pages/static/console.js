// What every page has: keys and times in words. Every page reads well without it.

const unit = [[86400, "d"], [3600, "h"], [60, "m"], [1, "s"]];

export function ago(seconds) {
  if (seconds < 2) return "now";
  const [size, letter] = unit.find(([size]) => seconds >= size) ?? [1, "s"];
  return `${Math.floor(seconds / size)}\u00a0${letter}\u00a0ago`; // of one piece, in the narrowest column
}

export function tellTimes(root = document) {
  for (const each of root.querySelectorAll("time[datetime]")) {
    const at = new Date(each.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    each.title = at.toLocaleString();
    const past = (Date.now() - at.getTime()) / 1000;
    if (past >= 0 && past < 7 * 86400 && !each.dataset.plain) each.textContent = ago(past);
  }
}

// On a phone the areas do not all fit: where one is stands in view.
const here = document.querySelector(".bar nav [aria-current]");
if (here) here.parentElement.scrollLeft = here.offsetLeft - here.parentElement.offsetLeft - 40;

tellTimes();
setInterval(tellTimes, 10_000);

// g and a letter lead to an area, / to the search, Escape out of it, j and k through a list, Enter opens.
let awaited = false;
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && event.target.id === "search") event.target.blur();
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select")) return;
  if (awaited) {
    awaited = false;
    const to = document.querySelector(`.bar nav a[data-key="${CSS.escape(event.key)}"]`);
    if (to) to.click();
  } else if (event.key === "g") {
    awaited = true;
    setTimeout(() => (awaited = false), 1500);
  } else if (event.key === "/") {
    event.preventDefault();
    document.getElementById("search")?.focus();
  } else if (event.key === "j" || event.key === "k") {
    step(event.key === "j" ? 1 : -1);
  }
});

function step(by) {
  const links = [...document.querySelectorAll("main tbody tr > td:first-child a, main tbody tr > th a")];
  if (!links.length) return;
  const at = links.indexOf(document.activeElement);
  links[Math.min(Math.max(at + by, 0), links.length - 1)].focus();
}
