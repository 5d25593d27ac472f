// The reader's own zone is offered among the zones of the calendar; nothing is sent before it is chosen.

const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
const zones = document.getElementById("zones");
if (own && zones && ![...zones.options].some((each) => each.value === own)) {
  const option = document.createElement("option");
  option.value = own;
  zones.prepend(option);
}
