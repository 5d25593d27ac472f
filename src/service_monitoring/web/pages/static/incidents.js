// The list of incidents: all of a page are chosen at once.

const all = document.getElementById("choose-all");

if (all) {
  all.hidden = false;
  all.addEventListener("change", (event) => {
    for (const box of document.querySelectorAll("#incident-rows input[name=id]")) box.checked = event.target.checked;
  });
}
