// The photo over its changed version; a slider moves the border between them.
const stage = element.querySelector(".compare-stage");
const before = element.querySelector(".compare-before");
const after = element.querySelector(".compare-after");
const message = element.querySelector(".view-message");
const slider = element.querySelector("input");

const place = () => stage.style.setProperty("--at", slider.value + "%");
const show = () => {
  const value = props.value || {};
  message.textContent = value.message || "";
  message.hidden = !value.message;
  stage.hidden = !value.after;
  if (!value.after) return;
  // The photo itself comes only when it is another one.
  if (value.before) before.src = value.before;
  after.src = value.after;
  after.alt = value.alt || "";
};
slider.addEventListener("input", place);
watch("value", show);
place();
show();
