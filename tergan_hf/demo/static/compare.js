// The result over the photo. A slider moves the border between them.
const stage = element.querySelector(".compare-stage");
const before = element.querySelector(".compare-before");
const after = element.querySelector(".compare-after");
const message = element.querySelector(".view-message");
const slider = element.querySelector("input");

const moveBorder = () => stage.style.setProperty("--at", slider.value + "%");
const show = () => {
  const value = props.value || {};
  message.textContent = value.message || "";
  message.hidden = !value.message;
  stage.hidden = !value.after;
  if (!value.after) return;
  // The server sends the photo only if it has changed.
  if (value.before) before.src = value.before;
  after.src = value.after;
  after.alt = value.alt || "";
};
slider.addEventListener("input", moveBorder);
watch("value", show);
moveBorder();
show();
