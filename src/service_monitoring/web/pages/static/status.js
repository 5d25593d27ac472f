// A status page that is left open is fetched anew each minute, where somebody can see it; it stays where it was scrolled to.
const EVERY = 60_000;
let shown = Date.now();

setInterval(refresh, EVERY);
document.addEventListener("visibilitychange", () => { if (Date.now() - shown >= EVERY) refresh(); });

async function refresh() {
  if (document.hidden) return;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" } });
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const next = fresh.getElementById("main");
    if (!next) return;
    shown = Date.now();
    document.title = fresh.title;
    const main = document.getElementById("main");
    if (main.innerHTML !== next.innerHTML && !main.contains(document.activeElement)) main.replaceChildren(...next.childNodes);
  } catch {
    // It is there still as it was, and says as of when.
  }
}
