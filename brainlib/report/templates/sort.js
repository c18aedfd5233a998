// A link to what is folded opens it, in every browser.
const unfold = () => {
  document.getElementById(decodeURIComponent(location.hash.slice(1)))?.closest('details')?.setAttribute('open', '');
};
addEventListener('hashchange', unfold);
unfold();

// Every table of three rows and more can be sorted by each of its columns: numbers as numbers, then words.
for (const table of document.querySelectorAll('table')) {
  const [body] = table.tBodies;
  if (!table.tHead || table.tBodies.length !== 1 || body.rows.length < 3) continue;
  const heads = [...table.tHead.rows[0].cells];
  const keyOf = (row, column) => {
    // A printed number may have a decimal comma, or a unit of its own: such a cell says its value.
    const cell = row.cells[column];
    const text = (cell?.dataset.sort || cell?.textContent || '').trim().replace('−', '-');
    const number = parseFloat(text);
    return Number.isNaN(number) ? [1, text] : [0, number];
  };
  heads.forEach((head, column) => {
    if (head.querySelector('svg')) return;
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener('click', () => {
      const down = head.getAttribute('aria-sort') === 'ascending';
      for (const other of heads) other.removeAttribute('aria-sort');
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const keyed = [...body.rows].map((row) => [keyOf(row, column), row]);
      keyed.sort(([[kind, key]], [[kind2, key2]]) => {
        const order = kind - kind2 || (kind ? key.localeCompare(key2) : key - key2);
        return down ? -order : order;
      });
      body.append(...keyed.map(([, row]) => row));
    });
  });
}
