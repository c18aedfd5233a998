// A file input of the browser's own, which takes a dropped file too. A file that is too large for the
// connection to the kernel is not read: its size alone is sent, and Python writes the message.
export default {
  render({ model, el }) {
    // Voilà's page has no landmark for screen readers.
    document.getElementById("rendered_cells")?.setAttribute("role", "main");
    const label = document.createElement("label");
    label.textContent = "Your own image";
    const input = document.createElement("input");
    input.type = "file";
    input.accept = model.get("accept");
    const name = document.createElement("output");
    model.on("change:name", () => { name.textContent = model.get("name"); });
    label.append(input);
    el.append(label, name);
    model.on("msg:custom", (message) => setTimeout(() => {
      const place = el.closest(".brainlib")?.querySelector(`.${message.show}`);
      const box = place?.getBoundingClientRect();
      if (box && (box.top < 0 || box.top > 0.6 * window.innerHeight)) place.scrollIntoView();
    }, 50));
    model.send("shown");
    input.addEventListener("change", async () => {
      const file = input.files[0];
      if (!file) return;
      const count = model.get("count") + 1;
      let content = new ArrayBuffer(0);
      try {
        if (file.size <= model.get("most_bytes")) content = await file.arrayBuffer();
      } catch { /* it vanished or cannot be read: nothing is sent, and Python reports it */ }
      const sent = { name: file.name, size: file.size, content: new DataView(content), count };
      for (const [name, value] of Object.entries(sent)) model.set(name, value);
      model.save_changes();
      input.value = ""; // so that the same file, mended, can be chosen again
    });
  },
};
