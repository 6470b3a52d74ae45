// A row of small pictures; each is a button.
const list = element.querySelector("ul");
const title = element.querySelector(".row-title");

const show = () => {
  const value = props.value || {};
  const items = value.items || [];
  element.querySelector(".picture-row").hidden = items.length === 0;
  title.textContent = value.title || "";
  list.replaceChildren(
    ...items.map((item, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-pressed", String(index === value.chosen));
      const picture = document.createElement("img");
      picture.src = item.picture;
      picture.alt = "";
      const caption = document.createElement("span");
      caption.textContent = item.caption;
      button.append(picture, caption);
      button.addEventListener("click", () => {
        for (const other of list.querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === button));
        trigger("select", { index });
      });
      const entry = document.createElement("li");
      entry.append(button);
      return entry;
    }),
  );
};
watch("value", show);
show();
