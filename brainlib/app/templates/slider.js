// The browser's own slider: ipywidgets' has no name that a screen reader could say.
export default {
  render({ model, el }) {
    const label = document.createElement("label");
    const input = document.createElement("input");
    const output = document.createElement("output");
    input.type = "range";
    input.min = 0;
    input.max = 100;
    input.step = 5;
    const update = () => {
      input.value = model.get("value");
      output.textContent = ` ${model.get("value")} %`;
    };
    label.append("Strength", input);
    el.append(label, output);
    model.on("change:value", update);
    update();
    input.addEventListener("input", () => {
      model.set("value", input.valueAsNumber);
      model.save_changes();
    });
  },
};
