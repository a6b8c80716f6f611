// What is judged on the raw request line and headers, before any router sees them.
// Invariant: a request passes only with the exact path of a route, its method, one plausible Host and no encoding;
// nothing is decoded, normalised or guessed. Routers resolve dots and escapes in paths and believe Host (h3 does both).
import type { IncomingMessage } from 'node:http';
import { OperaError } from '../errors/errors.ts';
import { frameMediaType } from '../wire/frame.ts';

/** GET paths of the mesh listener, for orchestrators and scrapers. */
export const probePaths: readonly string[] = ['/livez', '/readyz', '/metrics'];

const parseErrors: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

/** The whole answer to what Node's parser refused with `code`. */
export const parseErrorAnswer = (code: string | undefined): string =>
  `HTTP/1.1 ${parseErrors[code ?? ''] ?? '400 Bad Request'}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`;

const headerCount = (rawHeaders: readonly string[], name: string): number =>
  rawHeaders.filter((header, at) => at % 2 === 0 && header.toLowerCase() === name).length;

/** Why the request is refused unread, if it is. `paths` are those of the routes served here. */
export const checkRawRequest = (
  request: IncomingMessage,
  paths: ReadonlySet<string>,
  probes: boolean,
): OperaError | undefined => {
  const { method, url = '', rawHeaders, headers } = request;
  if (headerCount(rawHeaders, 'host') !== 1 || !/^[A-Za-z0-9.:[\]-]{1,262}$/.test(headers.host ?? '')) {
    return new OperaError('bad-request', 'one Host header with a host in it is needed');
  }
  if (!url.startsWith('/')) return new OperaError('bad-request', 'the request target must be a path');
  if (probes && probePaths.includes(url)) return method === 'GET' ? undefined : new OperaError('method-not-allowed');
  if (!paths.has(url)) return new OperaError('not-found', 'no such route');
  if (method !== 'POST') return new OperaError('method-not-allowed');
  const encoding = headers['content-encoding'];
  const transfer = headers['transfer-encoding']?.toLowerCase();
  if ((encoding !== undefined && encoding !== 'identity') || (transfer !== undefined && transfer !== 'chunked')) {
    return new OperaError('unsupported-encoding');
  }
  if (headers['content-type'] !== frameMediaType) {
    return new OperaError('unsupported-encoding', `the content type must be ${frameMediaType}`);
  }
  return undefined;
};
