/* The only place for compiled code: the codec's inner loops, as in _pure.py (RFC 6455 section 5).
 *
 * Nothing here decides anything: what is not plain is left to the decoder in _frames.py, which is
 * the same for both forms. No state but that of a Landing; no memory that a caller may resize is
 * kept beyond a call.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

enum { FIN = 0x80, TEXT = 0x1, BINARY = 0x2 };

/* Text that is masked is unmasked here on its way to str, if it is no longer. */
enum { SMALL = 1024 };

/* ------------------------------------------------------------------------------------ masks */

/* Bytes xor the key repeated; `from` and `to` may be the same (section 5.3). */
static void
mask_bytes(uint8_t *to, const uint8_t *from, Py_ssize_t size, const uint8_t key[4])
{
    uint8_t twice[8];
    uint64_t wide;
    Py_ssize_t i = 0;

    memcpy(twice, key, 4);
    memcpy(twice + 4, key, 4);
    memcpy(&wide, twice, 8);
    for (; i + 8 <= size; i += 8) {
        uint64_t word;
        memcpy(&word, from + i, 8);
        word ^= wide;
        memcpy(to + i, &word, 8);
    }
    for (; i < size; i++) {
        to[i] = from[i] ^ key[i & 3];
    }
}

/* The key as it stands `offset` bytes into the payload. */
static void
rotate_key(uint8_t key[4], Py_ssize_t offset)
{
    uint8_t before[4];

    memcpy(before, key, 4);
    for (int i = 0; i < 4; i++) {
        key[i] = before[(offset + i) & 3];
    }
}

static int
check_key(const Py_buffer *key)
{
    if (key->len != 4) {
        PyErr_Format(PyExc_ValueError, "a mask key has 4 bytes, not %zd", key->len);
        return -1;
    }
    return 0;
}

PyDoc_STRVAR(mask_doc, "mask($module, data, key, /)\n--\n\n"
             "``data`` xor ``key`` repeated (section 5.3); masking and unmasking are the same.");

static PyObject *
codec_mask(PyObject *module, PyObject *args)
{
    Py_buffer data, key;
    PyObject *masked = NULL;

    if (!PyArg_ParseTuple(args, "y*y*:mask", &data, &key)) {
        return NULL;
    }
    if (check_key(&key) == 0 && (masked = PyBytes_FromStringAndSize(NULL, data.len)) != NULL) {
        mask_bytes((uint8_t *)PyBytes_AS_STRING(masked), data.buf, data.len, key.buf);
    }
    PyBuffer_Release(&data);
    PyBuffer_Release(&key);
    return masked;
}

/* ----------------------------------------------------------------------------------- encode */

static Py_ssize_t
header_size(Py_ssize_t size, int masked)
{
    return 2 + (size < 126 ? 0 : size < 0x10000 ? 2 : 8) + (masked ? 4 : 0);
}

/* Write a whole frame; returns where it ends. The length is as short as can be (section 5.2). */
static uint8_t *
write_frame(uint8_t *to, int head, const uint8_t *payload, Py_ssize_t size, const uint8_t *key)
{
    uint8_t bit = key == NULL ? 0 : 0x80;
    int width = 0;

    *to++ = (uint8_t)head;
    if (size < 126) {
        *to++ = bit | (uint8_t)size;
    }
    else {
        width = size < 0x10000 ? 2 : 8;
        *to++ = bit | (width == 2 ? 126 : 127);
        for (int shift = 8 * (width - 1); shift >= 0; shift -= 8) {
            *to++ = (uint8_t)((uint64_t)size >> shift);
        }
    }
    if (key == NULL) {
        memcpy(to, payload, size);
    }
    else {
        memcpy(to, key, 4);
        to += 4;
        mask_bytes(to, payload, size, key);
    }
    return to + size;
}

PyDoc_STRVAR(encode_doc, "encode($module, head, payload, key, /)\n--\n\n"
             "A whole frame; ``key`` is None for frames of a server, which are not masked.");

static PyObject *
codec_encode(PyObject *module, PyObject *args)
{
    int head;
    Py_buffer payload, key = {0};
    PyObject *frame = NULL;

    if (!PyArg_ParseTuple(args, "iy*z*:encode", &head, &payload, &key)) {
        return NULL;
    }
    if (key.buf == NULL || check_key(&key) == 0) {
        Py_ssize_t size = header_size(payload.len, key.buf != NULL) + payload.len;
        if ((frame = PyBytes_FromStringAndSize(NULL, size)) != NULL) {
            write_frame((uint8_t *)PyBytes_AS_STRING(frame), head, payload.buf, payload.len,
                        key.buf);
        }
    }
    PyBuffer_Release(&payload);
    if (key.obj != NULL) {
        PyBuffer_Release(&key);
    }
    return frame;
}

PyDoc_STRVAR(encode_messages_doc, "encode_messages($module, messages, keys, /)\n--\n\n"
             "A frame for each ``(opcode, payload)``; ``keys`` has 4 bytes for each, or is None.");

static PyObject *
codec_encode_messages(PyObject *module, PyObject *args)
{
    PyObject *messages, *keys, *frames;
    const uint8_t *key = NULL;
    uint8_t *to;
    Py_ssize_t count, size = 0;

    if (!PyArg_ParseTuple(args, "O!O:encode_messages", &PyList_Type, &messages, &keys)) {
        return NULL;
    }
    count = PyList_GET_SIZE(messages);
    if (keys != Py_None) {
        if (!PyBytes_Check(keys) || PyBytes_GET_SIZE(keys) / 4 < count) {
            PyErr_SetString(PyExc_ValueError, "keys must be 4 bytes for each message");
            return NULL;
        }
        key = (const uint8_t *)PyBytes_AS_STRING(keys);
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *message = PyList_GET_ITEM(messages, i);
        if (!PyTuple_Check(message) || PyTuple_GET_SIZE(message) != 2 ||
            !PyLong_Check(PyTuple_GET_ITEM(message, 0)) ||
            !PyBytes_Check(PyTuple_GET_ITEM(message, 1))) {
            PyErr_SetString(PyExc_TypeError, "messages must be tuples of int and bytes");
            return NULL;
        }
        Py_ssize_t length = PyBytes_GET_SIZE(PyTuple_GET_ITEM(message, 1));
        size += header_size(length, key != NULL) + length;
    }
    if ((frames = PyBytes_FromStringAndSize(NULL, size)) == NULL) {
        return NULL;
    }
    to = (uint8_t *)PyBytes_AS_STRING(frames);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *message = PyList_GET_ITEM(messages, i);
        PyObject *payload = PyTuple_GET_ITEM(message, 1);
        long opcode = PyLong_AsLong(PyTuple_GET_ITEM(message, 0));
        to = write_frame(to, FIN | (int)(opcode & 0xF), (uint8_t *)PyBytes_AS_STRING(payload),
                         PyBytes_GET_SIZE(payload), key);
        if (key != NULL) {
            key += 4;
        }
    }
    return frames;
}

/* ----------------------------------------------------------------------------------- decode */

/* The message in a payload; NULL without an exception if it is text that is not UTF-8. */
static PyObject *
make_message(int opcode, const uint8_t *payload, Py_ssize_t size, const uint8_t *key)
{
    PyObject *data, *text;

    if (opcode == TEXT && (key == NULL || size <= SMALL)) {
        uint8_t plain[SMALL];
        if (key != NULL) {
            mask_bytes(plain, payload, size, key);
            payload = plain;
        }
        text = PyUnicode_DecodeUTF8((const char *)payload, size, "strict");
    }
    else {
        data = PyBytes_FromStringAndSize(NULL, size);
        if (data == NULL) {
            return NULL;
        }
        if (key != NULL) {
            mask_bytes((uint8_t *)PyBytes_AS_STRING(data), payload, size, key);
        }
        else {
            memcpy(PyBytes_AS_STRING(data), payload, size);
        }
        if (opcode == BINARY) {
            return data;
        }
        text = PyUnicode_DecodeUTF8(PyBytes_AS_STRING(data), size, "strict");
        Py_DECREF(data);
    }
    if (text == NULL && PyErr_ExceptionMatches(PyExc_UnicodeDecodeError)) {
        PyErr_Clear();
    }
    return text;
}

/* A limit or budget: a whole number, or inf; what is negative is as good as 0. */
static int
to_limit(PyObject *number, void *limit)
{
    if (PyFloat_Check(number)) {
        double value = PyFloat_AS_DOUBLE(number);
        *(int64_t *)limit = value >= 9.2e18 ? INT64_MAX : value <= 0 ? 0 : (int64_t)value;
        return 1;
    }
    int overflow;
    long long value = PyLong_AsLongLongAndOverflow(number, &overflow);
    if (value == -1 && PyErr_Occurred()) {
        return 0;
    }
    *(int64_t *)limit = overflow > 0 ? INT64_MAX : value < 0 ? 0 : value;
    return 1;
}

PyDoc_STRVAR(decode_messages_doc,
             "decode_messages($module, data, at, masked, messages, room, limit, /)\n--\n\n"
             "Plain messages at the front: each in one frame, uncompressed, wholly there, "
             "right.\n\n"
             "Returns the messages with their sizes, where they end, and the sum of their sizes.");

static PyObject *
codec_decode_messages(PyObject *module, PyObject *args)
{
    Py_buffer data;
    Py_ssize_t at;
    int masked;
    int64_t messages, room, limit, sum = 0;
    PyObject *found;

    if (!PyArg_ParseTuple(args, "y*npO&O&O&:decode_messages", &data, &at, &masked, to_limit,
                          &messages, to_limit, &room, to_limit, &limit)) {
        return NULL;
    }
    const uint8_t *buffer = data.buf;
    const Py_ssize_t end = data.len;
    if (at < 0 || at > end) {
        PyErr_Format(PyExc_ValueError, "at is %zd, of %zd bytes", at, end);
        PyBuffer_Release(&data);
        return NULL;
    }
    if ((found = PyList_New(0)) == NULL) {
        PyBuffer_Release(&data);
        return NULL;
    }
    while (messages > 0 && room > 0 && end - at >= 2) {
        const int opcode = buffer[at] & 0xF;
        Py_ssize_t payload_at = at + 2;
        const uint8_t *key = NULL;
        uint64_t size = buffer[at + 1] & 0x7F;

        if ((buffer[at] != (FIN | TEXT) && buffer[at] != (FIN | BINARY)) ||
            (buffer[at + 1] >= 0x80) != masked) {
            break;
        }
        if (size > 125) {
            const int width = size == 126 ? 2 : 8;
            if (end - payload_at < width) {
                break;
            }
            size = 0;
            for (int i = 0; i < width; i++) {
                size = size << 8 | buffer[payload_at++];
            }
            if (size < (width == 2 ? 126u : 0x10000u)) {
                break;
            }
        }
        if (masked) {
            if (end - payload_at < 4) {
                break;
            }
            key = buffer + payload_at;
            payload_at += 4;
        }
        if (size > (uint64_t)limit || size > (uint64_t)(end - payload_at)) {
            break;
        }
        PyObject *message = make_message(opcode, buffer + payload_at, (Py_ssize_t)size, key);
        if (message == NULL) {
            if (PyErr_Occurred()) {
                goto error;
            }
            break;
        }
        PyObject *pair = PyTuple_New(2), *length = PyLong_FromSsize_t((Py_ssize_t)size);
        if (pair == NULL || length == NULL) {
            Py_DECREF(message);
            Py_XDECREF(pair);
            Py_XDECREF(length);
            goto error;
        }
        PyTuple_SET_ITEM(pair, 0, message);
        PyTuple_SET_ITEM(pair, 1, length);
        const int failed = PyList_Append(found, pair);
        Py_DECREF(pair);
        if (failed) {
            goto error;
        }
        at = payload_at + (Py_ssize_t)size;
        sum += (int64_t)size;
        room -= (int64_t)size;
        messages--;
    }
    PyBuffer_Release(&data);
    return Py_BuildValue("NnL", found, at, (long long)sum);

error:
    PyBuffer_Release(&data);
    Py_DECREF(found);
    return NULL;
}

PyDoc_STRVAR(hop_doc, "hop($module, data, at, masked, /)\n--\n\n"
             "Over data frames, up to what is none, or is wrong, or whose header is not all "
             "there.\n\n"
             "Returns where that is, and how many bytes of the last data frame's payload are "
             "missing.");

static PyObject *
codec_hop(PyObject *module, PyObject *args)
{
    Py_buffer data;
    Py_ssize_t at;
    int masked;
    uint64_t missing = 0;

    if (!PyArg_ParseTuple(args, "y*np:hop", &data, &at, &masked)) {
        return NULL;
    }
    const uint8_t *buffer = data.buf;
    const Py_ssize_t end = data.len;
    if (at < 0 || at > end) {
        PyErr_Format(PyExc_ValueError, "at is %zd, of %zd bytes", at, end);
        PyBuffer_Release(&data);
        return NULL;
    }
    while (end - at >= 2) {
        Py_ssize_t payload_at = at + (masked ? 6 : 2);
        uint64_t size = buffer[at + 1] & 0x7F;

        if ((buffer[at] & 0x7F) > BINARY || (buffer[at + 1] >= 0x80) != masked) {
            break;
        }
        if (size > 125) {
            const int width = size == 126 ? 2 : 8;
            if (end - at - 2 < width) {
                break;
            }
            size = 0;
            for (int i = 0; i < width; i++) {
                size = size << 8 | buffer[at + 2 + i];
            }
            payload_at += width;
        }
        if (payload_at > end) {
            break;
        }
        if (size > (uint64_t)(end - payload_at)) {
            missing = size - (uint64_t)(end - payload_at);
            at = end;
            break;
        }
        at = payload_at + (Py_ssize_t)size;
    }
    PyBuffer_Release(&data);
    return Py_BuildValue("nK", at, (unsigned long long)missing);
}

/* ---------------------------------------------------------------------------------- landing */

/* Where UTF-8 stands: how many continuation bytes are due, and what the next one may be. */
typedef struct {
    uint8_t due, low, high;
} Utf8;

/* Go on over these bytes; -1 if they can be part of no text (RFC 3629 section 4). */
static int
check_utf8(Utf8 *utf8, const uint8_t *data, Py_ssize_t size)
{
    Py_ssize_t i = 0;

    while (i < size) {
        if (utf8->due) {
            if (data[i] < utf8->low || data[i] > utf8->high) {
                return -1;
            }
            utf8->due--;
            utf8->low = 0x80;
            utf8->high = 0xBF;
            i++;
            continue;
        }
        for (; i + 8 <= size; i += 8) {
            uint64_t word;
            memcpy(&word, data + i, 8);
            if (word & 0x8080808080808080u) {
                break;
            }
        }
        if (i == size) {
            break;
        }
        const uint8_t byte = data[i++];
        if (byte < 0x80) {
            continue;
        }
        if (byte < 0xC2 || byte > 0xF4) {
            return -1;
        }
        utf8->due = byte < 0xE0 ? 1 : byte < 0xF0 ? 2 : 3;
        /* Overlong forms, surrogates, and what is beyond Unicode, show in the second byte. */
        utf8->low = byte == 0xE0 ? 0xA0 : byte == 0xF0 ? 0x90 : 0x80;
        utf8->high = byte == 0xED ? 0x9F : byte == 0xF4 ? 0x8F : 0xBF;
    }
    return 0;
}

typedef struct {
    PyObject_HEAD
    PyObject *bytes;     /* the payload, as far as there is memory for it */
    PyObject *lent;      /* kept while somebody may write into it, though it is taken or replaced */
    Py_ssize_t size;     /* of the whole payload */
    Py_ssize_t landed;   /* bytes of it that are here, unmasked and checked */
    Py_ssize_t exports;
    uint8_t key[4];
    char masked, text, bad, taken;
    Utf8 utf8;
} Landing;

/* Bytes of memory once the first byte comes (the default limit of a message, so that most need no
 * more): who announces more has to send it. */
enum { FIRST = 1 << 20 };

PyDoc_STRVAR(landing_doc, "Landing(size, key, text)\n--\n\n"
             "The payload of a large message on its way to its final bytes object.\n\n"
             "As a buffer, it is where the next bytes may be read into: valid until then.\n\n"
             ":param size: bytes of the payload.\n"
             ":param key: its mask, or None.\n"
             ":param text: whether it has to be UTF-8.\n"
             ":ivar landed: bytes that are here.\n"
             ":ivar bad: whether they are no text.");

static PyObject *
landing_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    Py_ssize_t size;
    Py_buffer key = {0};
    int text;

    if (kwargs != NULL && PyDict_GET_SIZE(kwargs)) {
        PyErr_SetString(PyExc_TypeError, "Landing takes no keyword arguments");
        return NULL;
    }
    if (!PyArg_ParseTuple(args, "nz*p:Landing", &size, &key, &text)) {
        return NULL;
    }
    Landing *self = NULL;
    if (size <= 0) {
        PyErr_Format(PyExc_ValueError, "%zd bytes cannot land", size);
    }
    else if (key.buf == NULL || check_key(&key) == 0) {
        self = (Landing *)type->tp_alloc(type, 0);
    }
    if (self != NULL) {
        self->size = size;
        self->text = (char)text;
        if (key.buf != NULL) {
            self->masked = 1;
            memcpy(self->key, key.buf, 4);
        }
    }
    if (key.obj != NULL) {
        PyBuffer_Release(&key);
    }
    return (PyObject *)self;
}

static void
landing_dealloc(Landing *self)
{
    PyTypeObject *type = Py_TYPE(self);

    Py_XDECREF(self->bytes);
    Py_XDECREF(self->lent);
    type->tp_free(self);
    Py_DECREF(type);
}

/* How many more bytes there is memory for. */
static Py_ssize_t
landing_room(const Landing *self)
{
    return self->bytes == NULL ? 0 : PyBytes_GET_SIZE(self->bytes) - self->landed;
}

/* The memory is not needed any more; but whoever still has the buffer, which is of the first that
 * was let go, must not write into what is freed. */
static void
landing_let_go(Landing *self)
{
    if (self->exports && self->lent == NULL) {
        self->lent = self->bytes;
        self->bytes = NULL;
    }
    else {
        Py_CLEAR(self->bytes);
    }
}

/* Make room for at least one more byte. */
static int
landing_grow(Landing *self)
{
    if (landing_room(self) > 0) {
        return 0;
    }
    if (self->bytes == NULL) {
        self->bytes = PyBytes_FromStringAndSize(NULL, self->size < FIRST ? self->size : FIRST);
        return self->bytes == NULL ? -1 : 0;
    }
    const Py_ssize_t before = self->landed;
    const Py_ssize_t after = before > self->size / 2 ? self->size : before * 2;
    if (self->exports == 0) {
        /* If that fails, all is lost. */
        self->taken = _PyBytes_Resize(&self->bytes, after) < 0;
        return -self->taken;
    }
    PyObject *grown = PyBytes_FromStringAndSize(NULL, after);
    if (grown == NULL) {
        return -1;
    }
    memcpy(PyBytes_AS_STRING(grown), PyBytes_AS_STRING(self->bytes), before);
    landing_let_go(self);
    self->bytes = grown;
    return 0;
}

static int
landing_getbuffer(Landing *self, Py_buffer *view, int flags)
{
    view->obj = NULL;
    /* What was lent and replaced may still be written to: nothing is lent beside it. */
    if (self->taken || self->landed == self->size || self->lent != NULL) {
        PyErr_SetString(PyExc_BufferError, "nothing more lands here");
        return -1;
    }
    if (landing_grow(self) < 0) {
        return -1;
    }
    const int failed = PyBuffer_FillInfo(
        view, (PyObject *)self, PyBytes_AS_STRING(self->bytes) + self->landed, landing_room(self),
        0, flags);
    self->exports += failed == 0;
    return failed;
}

static void
landing_releasebuffer(Landing *self, Py_buffer *view)
{
    if (--self->exports == 0) {
        Py_CLEAR(self->lent);
    }
}

/* The next `size` bytes stand at their place, still masked. */
static void
landing_settle(Landing *self, Py_ssize_t size)
{
    uint8_t *data = (uint8_t *)PyBytes_AS_STRING(self->bytes) + self->landed;

    if (self->masked) {
        mask_bytes(data, data, size, self->key);
        rotate_key(self->key, size);
    }
    if (self->text && !self->bad) {
        self->bad = check_utf8(&self->utf8, data, size) < 0;
    }
    self->landed += size;
}

static PyObject *
gone(void)
{
    PyErr_SetString(PyExc_ValueError, "what landed here is taken already");
    return NULL;
}

PyDoc_STRVAR(received_doc, "received($self, size, /)\n--\n\n"
             "``size`` bytes were read into the buffer.");

static PyObject *
landing_received(Landing *self, PyObject *number)
{
    const Py_ssize_t size = PyNumber_AsSsize_t(number, PyExc_OverflowError);
    if (size == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (self->taken) {
        return gone();
    }
    if (size < 0 || size > landing_room(self)) {
        return PyErr_Format(PyExc_ValueError, "%zd bytes cannot have been read into a buffer of %zd",
                            size, landing_room(self));
    }
    if (size > 0) {
        landing_settle(self, size);
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(feed_doc, "feed($self, data, /)\n--\n\n"
             "Take what belongs here off the front of ``data``; returns how many bytes that was.");

static PyObject *
landing_feed(Landing *self, PyObject *object)
{
    Py_buffer data;
    Py_ssize_t used = 0;

    if (self->taken) {
        return gone();
    }
    if (PyObject_GetBuffer(object, &data, PyBUF_SIMPLE) < 0) {
        return NULL;
    }
    while (used < data.len && self->landed < self->size) {
        if (landing_grow(self) < 0) {
            PyBuffer_Release(&data);
            return NULL;
        }
        Py_ssize_t size = landing_room(self);
        if (size > data.len - used) {
            size = data.len - used;
        }
        memcpy(PyBytes_AS_STRING(self->bytes) + self->landed, (char *)data.buf + used, size);
        landing_settle(self, size);
        used += size;
    }
    PyBuffer_Release(&data);
    return PyLong_FromSsize_t(used);
}

PyDoc_STRVAR(take_doc, "take($self, /)\n--\n\n"
             "What has landed, as bytes, and the key for what follows; nothing lands here any more.");

static PyObject *
landing_take(Landing *self, PyObject *unused)
{
    PyObject *bytes;

    if (self->taken) {
        return gone();
    }
    if (landing_room(self) == 0 && self->bytes != NULL) {
        bytes = Py_NewRef(self->bytes);
    }
    else {
        bytes = PyBytes_FromStringAndSize(
            self->bytes == NULL ? NULL : PyBytes_AS_STRING(self->bytes), self->landed);
        if (bytes == NULL) {
            return NULL;
        }
    }
    self->taken = 1;
    landing_let_go(self);
    return Py_BuildValue("Ny#", bytes, self->key, (Py_ssize_t)4);
}

static PyObject *
landing_get_landed(Landing *self, void *unused)
{
    return PyLong_FromSsize_t(self->landed);
}

static PyObject *
landing_get_bad(Landing *self, void *unused)
{
    return PyBool_FromLong(self->bad);
}

static PyMethodDef landing_methods[] = {
    {"received", (PyCFunction)landing_received, METH_O, received_doc},
    {"feed", (PyCFunction)landing_feed, METH_O, feed_doc},
    {"take", (PyCFunction)landing_take, METH_NOARGS, take_doc},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef landing_getset[] = {
    {"landed", (getter)landing_get_landed, NULL, NULL, NULL},
    {"bad", (getter)landing_get_bad, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot landing_slots[] = {
    {Py_tp_doc, (void *)landing_doc},
    {Py_tp_new, landing_new},
    {Py_tp_dealloc, landing_dealloc},
    {Py_tp_methods, landing_methods},
    {Py_tp_getset, landing_getset},
    {Py_bf_getbuffer, landing_getbuffer},
    {Py_bf_releasebuffer, landing_releasebuffer},
    {0, NULL},
};

static PyType_Spec landing_spec = {
    .name = "wscore._codec.Landing",
    .basicsize = sizeof(Landing),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = landing_slots,
};

/* ----------------------------------------------------------------------------------- module */

static int
codec_exec(PyObject *module)
{
#ifdef Py_GIL_DISABLED
    /* A Landing relies on one lock for all; without it the form in Python is the one to use. */
    PyErr_SetString(PyExc_ImportError, "wscore._codec is not for free-threaded Python");
    return -1;
#else
    PyObject *type = PyType_FromModuleAndSpec(module, &landing_spec, NULL);
    if (type == NULL) {
        return -1;
    }
    const int failed = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return failed;
#endif
}

static PyMethodDef codec_methods[] = {
    {"mask", codec_mask, METH_VARARGS, mask_doc},
    {"encode", codec_encode, METH_VARARGS, encode_doc},
    {"encode_messages", codec_encode_messages, METH_VARARGS, encode_messages_doc},
    {"decode_messages", codec_decode_messages, METH_VARARGS, decode_messages_doc},
    {"hop", codec_hop, METH_VARARGS, hop_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot codec_slots[] = {
    {Py_mod_exec, codec_exec},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef codec_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "wscore._codec",
    .m_doc = "The codec's inner loops, compiled.",
    .m_methods = codec_methods,
    .m_slots = codec_slots,
};

PyMODINIT_FUNC
PyInit__codec(void)
{
    return PyModuleDef_Init(&codec_module);
}
