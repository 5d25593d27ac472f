// The list of incidents: what is chosen stays chosen while rows are fetched anew, and all of a page is chosen at once.

const form = document.getElementById("incident-rows").closest("form");
const all = document.getElementById("choose-all");
const boxes = () => [...form.querySelectorAll("input[name=id]")];
const chosen = new Set(boxes().filter((box) => box.checked).map((box) => box.value));

form.addEventListener("change", (event) => {
  if (event.target.name !== "id") return;
  if (event.target.checked) chosen.add(event.target.value);
  else chosen.delete(event.target.value);
});

if (all) {
  all.hidden = false;
  all.addEventListener("change", (event) => {
    for (const box of boxes()) {
      box.checked = event.target.checked;
      if (box.checked) chosen.add(box.value);
      else chosen.delete(box.value);
    }
  });
}

// Rows are new elements after a swap, and may be others: what is gone from the page is not chosen any more.
new MutationObserver(() => {
  const here = boxes();
  for (const box of here) if (chosen.has(box.value)) box.checked = true;
  const values = new Set(here.map((box) => box.value));
  for (const value of chosen) if (!values.has(value)) chosen.delete(value);
}).observe(form, { childList: true, subtree: true });
