// "Did you mean": the known word with the smallest edit distance to a wrong one.
// Only for messages; nothing is ever done on a guess.

/** Words longer than this are not compared: the work is the product of both lengths. */
const wordLengthMax = 64;

/** Damerau–Levenshtein distance (optimal string alignment): insert, delete, replace, swap neighbours. */
export const editDistance = (a: string, b: string): number => {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let cost = Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + (same ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        cost = Math.min(cost, (before[j - 2] ?? 0) + 1);
      row.push(cost);
    }
    before = previous;
    previous = row;
  }
  return previous[b.length] ?? a.length;
};

/** The nearest of `known`, or undefined when nothing is near enough to be meant. The first wins a tie. */
export const nearest = (word: string, known: Iterable<string>): string | undefined => {
  if (word.length > wordLengthMax) return undefined;
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.ceil(word.length / 2));
  for (const candidate of known) {
    const prefixed = word.length >= 2 && candidate.startsWith(word);
    const distance = prefixed ? 1 : editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance > bestDistance || (distance === bestDistance && best !== undefined)) continue;
    best = candidate;
    bestDistance = distance;
  }
  return best;
};

/** For the end of a message: `; the nearest is WORD`, or nothing. */
export const nearestText = (word: string, known: Iterable<string>, prefix = ''): string => {
  const meant = nearest(word, known);
  return meant === undefined ? '' : `; the nearest is ${prefix}${meant}`;
};
