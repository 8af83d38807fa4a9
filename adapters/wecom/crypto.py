"""WeCom's callback encryption: sign, verify, decrypt, encrypt."""

import base64
import hashlib
import hmac
import os
import re
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

ENCODING_AES_KEY = re.compile("[A-Za-z0-9]{43}")
RANDOM_BYTES = 16
LENGTH = struct.Struct(">I")
HEAD_BYTES = RANDOM_BYTES + LENGTH.size
# WeCom pads to 32 bytes although AES works in 16: a 16-byte unpadder passes the URL verification
# and then fails on about half of the real messages.
PADDING = PKCS7(256)


class NotGenuine(Exception):
    """
    What arrived is not provably from WeCom.

    Messages are fixed sentences: neither they nor a chained cause ever carry what was received,
    decrypted or configured, because exceptions end up in logs.
    """

    code: str
    sentence: str

    def __init__(self) -> None:
        super().__init__(self.sentence)


class BadEnvelope(NotGenuine):
    code = "bad-envelope"
    sentence = "the body is not a WeCom envelope; it was not opened"


class BadSignature(NotGenuine):
    code = "bad-signature"
    sentence = "the signature does not fit; nothing was decrypted"


class BadCipher(NotGenuine):
    code = "bad-cipher"
    sentence = "the encrypted text does not decrypt with the configured key"


class WrongReceiver(NotGenuine):
    code = "wrong-receiver"
    sentence = "the message was encrypted for somebody else"


class CallbackCrypto:
    """
    The three secrets of one callback URL at work. Source: wecom-protocol 1.1-1.4.

    Args:
        receive_id: Our CorpID; None while it is not configured, then every receiver will do
            (the URL has to be verified before anybody knows it).
    """

    def __init__(self, token: str, encoding_aes_key: str, receive_id: str | None) -> None:
        if not ENCODING_AES_KEY.fullmatch(encoding_aes_key):
            raise ValueError("the EncodingAESKey must be exactly 43 characters of A-Z a-z 0-9")
        # The last character may carry two spare bits (WeCom's own sample key does), so the decoded
        # key is what counts; encoding it again need not give the string back.
        key = base64.b64decode(encoding_aes_key + "=")
        self._token = _bytes(token)
        self._receive_id = None if receive_id is None else _bytes(receive_id)
        self._cipher = Cipher(algorithms.AES(key), modes.CBC(key[:16]))

    def signature(self, timestamp: str, nonce: str, encrypted: str) -> str:
        parts = sorted([self._token, _bytes(timestamp), _bytes(nonce), _bytes(encrypted)])
        return hashlib.sha1(b"".join(parts)).hexdigest()  # noqa: S324 - WeCom prescribes SHA-1

    def verify(self, signature: str, timestamp: str, nonce: str, encrypted: str) -> None:
        expected = self.signature(timestamp, nonce, encrypted)
        if not hmac.compare_digest(_bytes(expected), _bytes(signature)):
            raise BadSignature

    def decrypt(self, encrypted: str) -> bytes:
        """
        Open one encrypted text; the caller has verified its signature.

        Raises:
            BadCipher: Not base64, not whole blocks, or the padding or the length field is off.
            WrongReceiver: It is well formed and meant for another receiver.
        """
        content = self._unpadded(encrypted)
        if len(content) < HEAD_BYTES:
            raise BadCipher
        end = HEAD_BYTES + LENGTH.unpack_from(content, RANDOM_BYTES)[0]
        if end > len(content):
            raise BadCipher
        expected = content[end:] if self._receive_id is None else self._receive_id
        if not hmac.compare_digest(content[end:], expected):
            raise WrongReceiver
        return content[HEAD_BYTES:end]

    def encrypt(self, message: bytes, random: bytes | None = None) -> str:
        """The way back, for the simulator and for tests; `random` is 16 bytes."""
        random = os.urandom(RANDOM_BYTES) if random is None else random
        if len(random) != RANDOM_BYTES:
            raise ValueError(f"random must be {RANDOM_BYTES} bytes, not {len(random)}")
        padder = PADDING.padder()
        content = random + LENGTH.pack(len(message)) + message + (self._receive_id or b"")
        padded = padder.update(content) + padder.finalize()
        encryptor = self._cipher.encryptor()
        return base64.b64encode(encryptor.update(padded) + encryptor.finalize()).decode()

    def _unpadded(self, encrypted: str) -> bytes:
        decryptor, unpadder = self._cipher.decryptor(), PADDING.unpadder()
        try:
            cipher = base64.b64decode(encrypted, validate=True)
            padded = decryptor.update(cipher) + decryptor.finalize()
            return unpadder.update(padded) + unpadder.finalize()
        except ValueError:
            raise BadCipher from None


def _bytes(text: str) -> bytes:
    # A stranger's query may hold lone surrogates; they must fail the check, not the program.
    return text.encode("utf-8", "surrogatepass")
