// Rehearsals: rules of another service come into the form in place, and the bar of a job follows it.
// Without it, the service is chosen by a page of its own, and a job's page asks for itself again.

const choose = document.getElementById("choose");
if (choose) {
  choose.addEventListener("submit", async (event) => {
    event.preventDefault();
    const field = choose.elements.namedItem("service");
    const input = field instanceof RadioNodeList ? field[0] : field;
    const name = input.value.trim();
    if (!name) return;
    const there = document.querySelector(`#chosen [data-service="${CSS.escape(name)}"]`);
    if (there) return focusIn(there);
    try {
      const answer = await fetch(`/rehearsals?service=${encodeURIComponent(name)}`);
      if (!answer.ok) throw new Error(answer.statusText);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const rules = page.querySelector("#chosen [data-service]");
      if (!rules) return say(page.querySelector(".wrong")?.textContent ?? `There is no service ${name}.`);
      document.getElementById("none")?.remove();
      document.getElementById("unknown")?.remove();
      document.getElementById("chosen").append(document.importNode(rules, true));
      input.value = "";
      focusIn(document.getElementById("chosen").lastElementChild);
    } catch {
      choose.submit();
    }
  });
}

function focusIn(rules) {
  rules.scrollIntoView({ block: "nearest" });
  rules.querySelector("input:not([type=hidden])")?.focus();
}

function say(sentence) {
  let line = document.getElementById("unknown");
  if (!line) {
    line = document.createElement("p");
    line.id = "unknown";
    line.className = "wrong";
    line.setAttribute("role", "alert");
    choose.after(line);
  }
  line.textContent = sentence;
}

// Typing a range chooses it.
for (const id of ["began", "ended"]) {
  document.getElementById(id)?.addEventListener("input", () => {
    document.querySelector('input[name="range"][value="other"]').checked = true;
  });
}

// Services beyond those that were listed are found while one types.
const service = document.getElementById("service");
let asked = 0;
service?.addEventListener("input", async () => {
  const mine = ++asked;
  await new Promise((resume) => setTimeout(resume, 200));
  if (mine !== asked || !service.value) return;
  const answer = await fetch(`/api/v1/rehearsals/options?search=${encodeURIComponent(service.value)}`);
  if (!answer.ok || mine !== asked) return;
  const { services } = await answer.json();
  document.getElementById("services").replaceChildren(...services.map((name) => new Option("", name)));
});

const job = document.getElementById("job");
if (job) follow(job.dataset.job);

async function follow(id) {
  const bar = document.getElementById("share");
  const says = document.getElementById("job-says");
  for (;;) {
    await new Promise((resume) => setTimeout(resume, 1000));
    let row;
    try {
      const answer = await fetch(`/api/v1/rehearsals/${encodeURIComponent(id)}`);
      if (!answer.ok) throw new Error(answer.statusText);
      row = (await answer.json()).job;
    } catch {
      says.textContent = "The program does not answer.";
      continue;
    }
    if (row.state !== "queued" && row.state !== "running") return location.reload();
    bar.value = row.share;
    const share = `${Math.round(100 * row.share)} %`;
    const at = row.at ? `, at ${row.at.slice(0, 16).replace("T", " ")}, ${row.samples.toLocaleString("en")} samples` : "";
    says.textContent = row.state === "queued" ? `${row.place} before it in the line` : share + at;
  }
}
