// A silence that is being written: what it matches follows the typing, as if the button had been pressed.

const draft = document.getElementById("draft");
let waiting = 0;
let asked = null;

async function preview() {
  const address = `/silences/new?${new URLSearchParams(new FormData(draft))}`;
  asked?.abort();
  asked = new AbortController();
  try {
    const answer = await fetch(address, { signal: asked.signal, headers: { accept: "text/html" } });
    if (!answer.headers.get("content-type")?.startsWith("text/html")) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("preview");
    if (fresh) document.getElementById("preview").replaceChildren(...fresh.childNodes);
    history.replaceState(null, "", address);
  } catch (error) {
    if (error.name !== "AbortError") console.warn("no preview", error);
  }
}

draft.addEventListener("input", () => {
  clearTimeout(waiting);
  waiting = setTimeout(preview, 400);
});
