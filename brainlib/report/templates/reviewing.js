// The decisions become a CSV on the reader's own disk; a page has no other place to keep them.
const pairs = [...document.querySelectorAll('fieldset')];
const save = document.querySelector('#save');
let saved = true;
const decisions = () => pairs.map((pair) => {
  const { first, second } = pair.dataset;
  return [first, second, pair.querySelector(':checked').value];
}).filter(([, , decision]) => decision);
const show = () => {
  save.textContent = `Save ${decisions().length} of ${pairs.length} decisions`;
};
addEventListener('change', () => {
  saved = false;
  show();
});
addEventListener('beforeunload', (event) => {
  if (!saved) event.preventDefault();
});
save.addEventListener('click', () => {
  const rows = [['first', 'second', 'decision'], ...decisions()];
  const quoted = rows.map((row) => row.map((text) => `"${text.replaceAll('"', '""')}"`).join(','));
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([`${quoted.join('\n')}\n`], { type: 'text/csv' }));
  link.download = 'decisions.csv';
  link.click();
  saved = true;
});
show();
