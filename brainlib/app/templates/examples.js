// Test images to click: buttons with a thumbnail, named by the true class.
export default {
  render({ model, el }) {
    const show = () => {
      el.replaceChildren();
      if (!model.get("items").length) return;
      const intro = document.createElement("p");
      intro.textContent = "Or a test image of this model, under its true class:";
      const group = document.createElement("div");
      group.className = "examples";
      group.setAttribute("role", "group");
      group.setAttribute("aria-label", "Examples");
      model.get("items").forEach((item, number) => {
        const button = document.createElement("button");
        const image = document.createElement("img");
        button.type = "button";
        button.title = item.path;
        image.src = item.src;
        image.alt = "";
        button.append(image, item.label);
        button.addEventListener("click", () => {
          model.set("chosen", number);
          model.set("count", model.get("count") + 1);
          model.save_changes();
        });
        group.append(button);
      });
      el.append(intro, group);
    };
    model.on("change:items", show);
    show();
  },
};
