/** What the errors of the system are called in a sentence. Anything else is named by its code alone. */
const words: Readonly<Record<string, string>> = {
  E2BIG: 'too long for the operating system',
  EACCES: 'permission denied',
  EAGAIN: 'temporarily not available',
  EBADMSG: 'the file system reports damaged data',
  EBUSY: 'it is in use',
  EDQUOT: 'the disk quota is used up',
  EEXIST: 'it already exists',
  EFBIG: 'the file is too large for this disk',
  EILSEQ: 'this disk does not accept the name',
  EINTR: 'interrupted',
  EINVAL: 'not accepted by this disk',
  EIO: 'input/output error',
  EISDIR: 'it is a folder',
  ELOOP: 'too many symbolic links in the path',
  EMFILE: 'too many open files in this process',
  EMLINK: 'too many links to one file',
  ENAMETOOLONG: 'the name is too long for this disk',
  ENFILE: 'too many open files in the whole system',
  ENODEV: 'the disk is gone',
  ENOENT: 'it no longer exists',
  ENOMEM: 'out of memory',
  ENOSPC: 'no space left',
  ENOSYS: 'not supported by this disk',
  ENOTCONN: 'the disk is not connected',
  ENOTDIR: 'it is not a folder',
  ENOTEMPTY: 'the folder is not empty',
  ENOTSUP: 'not supported by this disk',
  ENXIO: 'the device is gone',
  EOPNOTSUPP: 'not supported by this disk',
  EPERM: 'not permitted',
  EROFS: 'the disk is read-only',
  ESTALE: 'the network disk has lost the file',
  ETIMEDOUT: 'the disk did not answer in time',
  ETXTBSY: 'the program is running',
  EUCLEAN: 'the file system is damaged',
  EXDEV: 'it is on another disk',
};

/** An errno in a sentence, with its code: `input/output error (EIO)`. */
export function errnoWords(errno: string): string {
  const known = Object.hasOwn(words, errno) ? words[errno] : undefined;
  return known === undefined ? errno : `${known} (${errno})`;
}

/** Whether an errno says that rights are missing. Absent, in what older versions stored, it was one that does. */
export function isAboutRights(errno: string | undefined): errno is 'EACCES' | 'EPERM' | undefined {
  return errno === undefined || errno === 'EACCES' || errno === 'EPERM';
}
