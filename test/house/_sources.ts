// What the house tests read: the project's files, their code without comments and texts, and what they import.
// A small lexer, good for this code base: it knows comments, the three kinds of text, and regular expressions.
// It does not parse; what needs types or scopes is the linter's work.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';

export interface Import {
  /** As written: `../model/ids.ts`, `node:fs`, `h3`. */
  readonly specifier: string;
  /** Path from the root of the project for a relative import; undefined for packages. */
  readonly path: string | undefined;
  /** True when only types come in, so that nothing of it runs. */
  readonly typeOnly: boolean;
  /** True for `import()`: it runs when it is called, not when the file is loaded. */
  readonly lazy: boolean;
}

export interface Source {
  /** From the root of the project, `/` between parts. */
  readonly path: string;
  readonly text: string;
  /** The text with comments blanked; same length and lines. */
  readonly uncommented: string;
  /** The text with comments, texts and regular expressions blanked; same length and lines. */
  readonly code: string;
  readonly imports: readonly Import[];
}

const skipped = new Set(['node_modules', 'dist', '.git']);

/** Every file below a folder, sorted; build output, packages and git's own files are left out. */
export const listFiles = (folder: string): string[] =>
  readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => {
      const path = folder === '.' ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory()) return skipped.has(entry.name) ? [] : listFiles(path);
      return [path];
    })
    .sort();

const blank = (text: string): string => text.replace(/[^\n]/g, ' ');

/** A `/` begins a regular expression after these, and divides after anything else. */
const beforeRegExp = /(?:^|[(,=:[!&|?{};+\-*%<>~^]|\b(?:return|typeof|case|in|of|void|yield|await))\s*$/;

const comment = /\/\/[^\n]*|\/\*[\s\S]*?\*\//y;
const quoted = /'(?:[^'\\\n]|\\[\s\S])*'|"(?:[^"\\\n]|\\[\s\S])*"/y;
const regExp = /\/(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[a-z]*/y;

const matchAt = (pattern: RegExp, text: string, at: number): string | undefined => {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
};

interface Blanked {
  readonly uncommented: string;
  readonly code: string;
}

/** Blanks comments in one copy, comments and texts in the other. Code inside `${}` of a template stays. */
const blankOut = (text: string): Blanked => {
  let uncommented = '';
  let code = '';
  // One entry an open template: the depth of braces inside its `${`, or -1 while in its text.
  const templates: number[] = [];
  const take = (part: string, isComment: boolean, isText: boolean): void => {
    uncommented += isComment ? blank(part) : part;
    code += isComment || isText ? blank(part) : part;
  };
  for (let at = 0; at < text.length; at = uncommented.length) {
    const character = text[at] ?? '';
    const top = templates.length - 1;
    const depth = templates[top];
    if (depth === -1) {
      if (character === '\\') take(text.slice(at, at + 2), false, true);
      else if (text.startsWith('${', at)) {
        templates[top] = 0;
        take('${', false, true);
      } else {
        if (character === '`') templates.pop();
        take(character, false, true);
      }
      continue;
    }
    const note = matchAt(comment, text, at);
    const string = note === undefined ? matchAt(quoted, text, at) : undefined;
    const isRegExp = character === '/' && note === undefined && beforeRegExp.test(code.slice(-40));
    const expression = isRegExp ? matchAt(regExp, text, at) : undefined;
    if (note !== undefined) take(note, true, false);
    else if (string !== undefined || expression !== undefined) take(string ?? expression ?? '', false, true);
    else if (character === '`') {
      templates.push(-1);
      take(character, false, true);
    } else if (depth !== undefined && character === '}' && depth === 0) {
      templates[top] = -1;
      take(character, false, true);
    } else {
      if (depth !== undefined && character === '{') templates[top] = depth + 1;
      if (depth !== undefined && character === '}') templates[top] = depth - 1;
      take(character, false, false);
    }
  }
  return { uncommented, code };
};

const isTypeOnly = (clause: string): boolean => {
  if (/^(?:import|export)\s+type\b/.test(clause)) return true;
  const names = /^(?:import|export)\s*\{([^}]*)\}\s*from\b/.exec(clause)?.[1];
  return names !== undefined && names.split(',').every((name) => /^\s*(?:type\s|$)/.test(name));
};

/** Static imports, re-exports, bare imports, and dynamic imports of a fixed text. */
const importsOf = (path: string, uncommented: string, code: string): Import[] => {
  const found: Import[] = [];
  const add = (specifier: string, typeOnly: boolean, lazy: boolean): void => {
    const relative = specifier.startsWith('.');
    found.push({ specifier, path: relative ? normalize(join(dirname(path), specifier)) : undefined, typeOnly, lazy });
  };
  const clause = /\b(?:import|export)\b(?:[^'"`;()]*?\bfrom)?\s*(['"])([^'"\n]+)\1/g;
  const dynamic = /\bimport\s*\(\s*(['"])([^'"\n]+)\1/g;
  // Words inside texts are blank in `code`, so that a text that speaks of imports is not taken for one.
  for (const match of uncommented.matchAll(clause)) {
    if (/^(?:import|export)/.test(code.slice(match.index, match.index + 6)))
      add(match[2] ?? '', isTypeOnly(match[0]), false);
  }
  for (const match of uncommented.matchAll(dynamic)) {
    if (code.startsWith('import', match.index)) add(match[2] ?? '', false, true);
  }
  return found;
};

export const readSource = (path: string, text = readFileSync(path, 'utf8')): Source => {
  const { uncommented, code } = blankOut(text);
  return { path, text, uncommented, code, imports: importsOf(path, uncommented, code) };
};

/** The TypeScript files below a folder. */
export const readSources = (folder: string): Source[] =>
  listFiles(folder)
    .filter((path) => path.endsWith('.ts'))
    .map((path) => readSource(path));

export const lineOf = (text: string, index: number): number => text.slice(0, index).split('\n').length;
