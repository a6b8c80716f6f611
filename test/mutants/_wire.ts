// Faults of requests: names, bytes that no honest client sends, JSON, sizes, hosts, and what errors tell.
import type { FaultTable } from './mutant.ts';

const raw = 'test/roles/listener-raw.test.ts';
const load = 'test/roles/listener-load.test.ts';
const names = 'test/model/names.test.ts';
const json = 'test/wire/json.test.ts';

const ofNames = (story: string, from: string, to: string, title: string) => ({
  story,
  file: 'src/model/names.ts',
  from,
  to,
  test: names,
  title,
});

const ofRequests = (story: string, from: string, to: string, title: string) => ({
  story,
  file: 'src/roles/_raw-request.ts',
  from,
  to,
  test: raw,
  title,
});

const ofJson = (story: string, from: string, to: string, title: string) => ({
  story,
  file: 'src/wire/json.ts',
  from,
  to,
  test: json,
  title,
});

export const wireFaults = {
  'name-fuzz': {
    fault:
      'names with `..`, `%2f`, NUL, CR, LF, 4 KiB, right-to-left, emoji, NFC and NFD, `*?[`, `:`, `__proto__`, `con`',
    expected: 'one spelling, or refused; keys of the registry stay distinct',
    mutants: [
      ofNames('control characters pass', 'if (hasControl(name))', "if (name === '\\0')", 'is refused: '),
      ofNames(
        'parts that lead upwards pass',
        "if (part === '.' || part === '..')",
        "if (part === '.')",
        'is refused: ',
      ),
      ofNames('names of any length pass', 'if (bytes > nameBytesMax)', 'if (bytes > 1e9)', 'is refused: '),
      ofNames(
        'two spellings are two files',
        "const name = text.normalize('NFC');",
        'const name = text;',
        'two spellings of one name become one, and only that one is taken from the wire',
      ),
      ofNames(
        'the other spelling is taken from the wire, too',
        "if (name !== value) throw bad('is not in Unicode normalisation form C');",
        '',
        'two spellings of one name become one, and only that one is taken from the wire',
      ),
      {
        story: 'lists of files and of nodes share their keys',
        file: 'src/registry/keys.ts',
        from: 'nodesOfFile: (name: string): string => `network:data:file:${name}`,',
        to: 'nodesOfFile: (name: string): string => `network:data:node:${name}`,',
        test: 'test/registry/keys.test.ts',
        title: 'no name, address or id makes two keys one',
      },
    ],
    tests: [
      {
        test: 'test/acceptance/registry.ts',
        title: 'keeps odd names apart and lists them in byte order, page by page',
      },
      { test: 'test/e2e/files.test.ts', title: 'odd names are one name each, and come back as they went' },
    ],
  },
  'smuggling-raw': {
    fault:
      'Content-Length and Transfer-Encoding together, doubled, signed, listed; bare line feeds, spaces before ' +
      'colons, folded and long headers, slow ones',
    expected: 'refused with one answer, and no second request is seen',
    mutants: [
      {
        story: 'the parser is lenient',
        file: 'src/roles/listener.ts',
        from: 'requireHostHeader: false,',
        to: 'requireHostHeader: false,\n        insecureHTTPParser: true,',
        test: raw,
        title: 'is refused with one answer and no second request is seen',
      },
      {
        story: 'headers may be of any length',
        file: 'src/roles/listener.ts',
        from: 'maxHeaderSize: limits.headerBytesMax,',
        to: 'maxHeaderSize: 1_000_000,',
        test: raw,
        title: 'headers beyond 8 KiB get 431 and the connection ends',
      },
      {
        story: 'headers may take for ever',
        file: 'src/roles/listener.ts',
        from: 'headersTimeout: this.#times.headersTimeoutMs,',
        to: 'headersTimeout: 3_600_000,',
        test: load,
        title: 'headers that do not end are answered 408 or cut, and others are served meanwhile',
      },
    ],
  },
  'json-abuse': {
    fault: 'JSON that is broken, doubled, deep, out of range, or names `__proto__`',
    expected: 'refused at once, and nothing is polluted',
    mutants: [
      ofJson(
        'the last of two keys wins',
        "if (open.has(key)) throw malformed('a key stands twice');",
        '',
        'a key that stands twice in one object is refused',
      ),
      ofJson(
        '`__proto__` is a key',
        "if (key === '__proto__') throw malformed('a key that is not allowed');",
        '',
        '__proto__ is no key, and nothing is polluted',
      ),
      ofJson(
        'keys may be written with escapes',
        "if (raw.includes('\\\\')) throw malformed('an escaped key');",
        '',
        'a key that is written with escapes is refused',
      ),
      ofJson(
        'any depth is read',
        'if (keys.length > limits.jsonDepthMax)',
        'if (keys.length > 1e9)',
        'depth is bounded, and 300,000 levels are refused',
      ),
      {
        story: 'a number that is none of the range is rounded',
        file: 'src/wire/schema.ts',
        from: 'v.pipe(v.number(), v.safeInteger(), v.minValue(min)',
        to: 'v.pipe(v.number(), v.minValue(min)',
        test: 'test/wire/schema.test.ts',
        title: 'integers are whole, finite and in range',
      },
    ],
    tests: [{ test: raw, title: 'JSON that is broken, deep, doubled or out of range gets 400 and pollutes nothing' }],
  },
  'body-limits': {
    fault: 'bodies that say they are too long, that become so on the way, and that lie about it',
    expected: '413 and the end of the connection; memory stays flat; the next request is served',
    mutants: [
      {
        story: 'a stated length is not looked at',
        file: 'src/roles/_request-body.ts',
        from: 'if (stated > bytesMax) return reject(tooLarge());',
        to: '',
        test: raw,
        title: 'a stated length above the limit gets 413 at once, and the connection ends',
      },
      {
        story: 'bodies without a length are read to their end',
        file: 'src/roles/_request-body.ts',
        from: 'if (length > bytesMax) return stop(tooLarge());',
        to: '',
        test: load,
        title: 'a body above the limit of its route is refused however it is sent, and memory stays flat',
      },
      {
        story: 'a body that broke off is a body',
        file: 'src/roles/_request-body.ts',
        from: "request.once('error', (cause) => stop(",
        to: "request.once('error', (cause) => resolve(cause ? Buffer.concat(parts) : parts[0]) ?? stop(",
        test: raw,
        title: 'a body shorter than its length is no request',
      },
      {
        story: 'what a frame says of its length is believed',
        file: 'src/wire/frame.ts',
        from: 'if (4 + length > bytes.length) throw',
        to: 'if (length < 0) throw',
        test: 'test/wire/frame.test.ts',
        title: 'every length but the true one is refused',
      },
    ],
  },
  'abort-flood': {
    fault: 'a thousand uploads that break off',
    expected: 'no line of error, no handler entered, nothing left open, the next one served',
    mutants: [
      {
        story: 'each of them is logged as a failure of ours',
        file: 'src/roles/_request-body.ts',
        from: "request.once('error', (cause) => stop(new OperaError('aborted',",
        to: "request.once('error', (cause) => stop(new OperaError('internal',",
        test: load,
        title: 'uploads that break off leave nothing behind and print nothing',
      },
    ],
  },
  'host-spoof': {
    fault: 'a Host with a path in it, two of them, whole URLs as targets, TRACE and CONNECT',
    expected: '400 or 405, and no way around a check',
    mutants: [
      ofRequests(
        'any Host will do',
        "if (headerCount(rawHeaders, 'host') !== 1 || !/^[A-Za-z0-9.:[\\]-]{1,262}$/.test(headers.host ?? '')) {",
        "if (headerCount(rawHeaders, 'host') > 9) {",
        'Host is one plausible host: none, two, or one with a path in it are refused',
      ),
      ofRequests(
        'paths are those that the router makes of them',
        "if (!paths.has(url)) return new OperaError('not-found', 'no such route');",
        '',
        'only the exact path of a route is one',
      ),
      ofRequests(
        'whole URLs are targets',
        "if (!url.startsWith('/')) return new OperaError('bad-request', 'the request target must be a path');",
        '',
        'a target that names another host is refused, whatever its path',
      ),
      ofRequests(
        'any method will do',
        "if (method !== 'POST') return new OperaError('method-not-allowed');",
        '',
        'other methods are refused, and so is a tunnel',
      ),
    ],
  },
  'error-leak': {
    fault: 'every kind of trouble of our own',
    expected: 'its code, the fixed sentence of that code and the id of the request, and nothing else',
    mutants: [
      {
        story: 'messages of our own trouble leave',
        file: 'src/wire/error-body.ts',
        from: 'message: ours ? errorTable[error.code].title : error.message,',
        to: 'message: error.message,',
        test: 'test/roles/listener.test.ts',
        title: 'every 5xx carries its code, the fixed sentence of that code and the request id, and nothing else',
      },
      {
        story: 'details of our own trouble leave',
        file: 'src/wire/error-body.ts',
        from: '...(error.details && !ours ? { details: error.details } : {}),',
        to: '...(error.details ? { details: error.details } : {}),',
        test: 'test/roles/listener.test.ts',
        title: 'every 5xx carries its code, the fixed sentence of that code and the request id, and nothing else',
      },
    ],
  },
} as const satisfies FaultTable;
