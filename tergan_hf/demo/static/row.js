// A row of small pictures. Each picture is a button.
const list = element.querySelector("ul");
const title = element.querySelector(".row-title");

const show = () => {
  const value = props.value || {};
  const items = value.items || [];
  const isChoice = Number.isInteger(value.chosen);
  element.querySelector(".picture-row").hidden = items.length === 0;
  title.textContent = value.title || "";
  // Keep the keyboard focus on the same button.
  const focused = [...list.querySelectorAll("button")].indexOf(document.activeElement);
  list.replaceChildren(
    ...items.map((item, index) => {
      const button = document.createElement("button");
      button.type = "button";
      if (isChoice) button.setAttribute("aria-pressed", String(index === value.chosen));
      const picture = document.createElement("img");
      picture.src = item.picture;
      picture.alt = "";
      const caption = document.createElement("span");
      caption.textContent = item.caption;
      button.append(picture, caption);
      button.addEventListener("click", () => {
        if (isChoice) {
          for (const other of list.querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === button));
        }
        trigger("select", { index });
      });
      const entry = document.createElement("li");
      entry.append(button);
      return entry;
    }),
  );
  list.querySelectorAll("button")[focused]?.focus();
};
watch("value", show);
show();
