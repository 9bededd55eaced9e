// What pages are audited by, from inside the browser; each part answers with the faults it found.
({
  // WCAG 2.2 by what the browser itself computed: 1.1.1, 1.3.1, 2.4.2, 3.1.1, 4.1.1, 4.1.2.
  structure: () => {
    const faults = [];
    const all = (query) => [...document.querySelectorAll(query)];
    if (!document.documentElement.lang || !document.title.trim()) faults.push('no language or title');
    if (all('h1').length !== 1 || all('main').length !== 1) faults.push('not one h1 and one main');
    for (const img of all('img')) if (!img.hasAttribute('alt')) faults.push('no alt ' + img.src);
    for (const img of all('.proof img, .viewer img')) {
      if (img.getAttribute('src') && !img.alt.trim()) faults.push('empty alt ' + img.src);
    }
    const name = (one) => (one.getAttribute('aria-label') || one.innerText || one.title
      || [...(one.labels || [])].map((label) => label.innerText || label.textContent).join(' ') || '').trim();
    for (const one of all('a[href], button, input:not([type=hidden]), select, video, meter, progress, dialog')) {
      if (one.closest('dialog:not([open])') && one.tagName !== 'DIALOG') continue;
      const called = name(one) || one.querySelector('img')?.alt
        || document.getElementById(one.getAttribute('aria-labelledby'))?.textContent;
      if (!called && !one.textContent.trim()) faults.push('no name ' + one.outerHTML.slice(0, 120));
    }
    const ids = all('[id]').map((one) => one.id);
    for (const id of ids) if (ids.filter((other) => other === id).length > 1) faults.push('id twice ' + id);
    for (const one of all('[aria-labelledby], [aria-describedby]')) {
      for (const id of (one.getAttribute('aria-labelledby') || one.getAttribute('aria-describedby')).split(' ')) {
        if (!document.getElementById(id)) faults.push('points nowhere ' + id);
      }
    }
    let level = 0;
    for (const one of all('h1, h2, h3').filter((one) => !one.closest('dialog'))) {
      const here = Number(one.tagName[1]);
      if (here > level + 1) faults.push('heading skipped ' + one.textContent);
      level = here;
    }
    if (!document.querySelector('[role=status][aria-live]')) faults.push('nothing announces');
    return faults;
  },

  // WCAG 2.2, 1.4.3 and 1.4.11: 4.5 : 1 for text, 3 : 1 for large text and for edges of controls.
  contrast: () => {
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const rgba = (colour) => {
      canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
      return [r, g, b, a / 255];
    };
    const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
    const ground = (one) => {
      const layers = [];
      for (let at = one; at; at = at.parentElement) layers.unshift(rgba(getComputedStyle(at).backgroundColor));
      return layers.reduce((under, top) => over(top, under), [255, 255, 255, 1]);
    };
    const light = (c) => c.slice(0, 3).map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
      .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
    const faults = [];
    let checked = 0;
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
      const one = walk.currentNode.parentElement;
      if (!walk.currentNode.textContent.trim() || !one.checkVisibility() || one.closest('.sr, .skip, option, video')) continue;
      const style = getComputedStyle(one), size = parseFloat(style.fontSize);
      const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
      const under = ground(one), found = ratio(over(rgba(style.color), under), under);
      checked += 1;
      if (found < (large ? 3 : 4.5)) faults.push(`${found.toFixed(2)} ${one.className} "${walk.currentNode.textContent.trim()}"`);
    }
    for (const one of document.querySelectorAll('input:not([type=checkbox]):not([type=hidden]), select')) {
      if (!one.checkVisibility()) continue;
      const found = ratio(rgba(getComputedStyle(one).borderTopColor), ground(one.parentElement));
      if (found < 3) faults.push(`${found.toFixed(2)} edge of ${one.name}`);
    }
    return { faults, checked };
  },

  // WCAG 2.2, 2.5.8: 24 by 24 pixels, links within text left out.
  targets: () => [...document.querySelectorAll('button, .button, .switch a, .chip input, select')]
    .filter((one) => one.checkVisibility() && !one.closest('.apply, dialog') && !one.matches('.apply'))
    .map((one) => [one.getBoundingClientRect(), one.outerHTML.slice(0, 90)])
    .filter(([box]) => box.width < 24 || box.height < 24).map(([, html]) => html),
})
