package secrets

import (
	"encoding/base64"
	"strings"
)

// An encrypted value is ENC[AES256_GCM,data:…,iv:…,tag:…,type:…] with base64
// in the first three: Cipher of sops/v3/aes. The library's own pattern is not
// read to the end of the value, so that anything may follow it; this one is.
const (
	formStart = "ENC[AES256_GCM,data:"
	formEnd   = "]"
	formMark  = "ENC["
	nonceSize = 32 // bytes
	tagSize   = 16 // bytes
)

// The types of values that sops writes. The library also decrypts "bytes",
// which no sops written in Go ever wrote, and crashes after it.
var formTypes = map[string]bool{"str": true, "int": true, "float": true, "bool": true, "time": true, "comment": true}

// formOf returns the type of an encrypted value, or "" and what is wrong.
func formOf(text string) (kind, problem string) {
	if !strings.HasPrefix(text, formMark) {
		return "", "is not encrypted"
	}
	rest, begins := strings.CutPrefix(text, formStart)
	rest, ends := strings.CutSuffix(rest, formEnd)
	data, rest, iv := strings.Cut(rest, ",iv:")
	nonce, rest, tag := strings.Cut(rest, ",tag:")
	sum, kind, typed := strings.Cut(rest, ",type:")
	switch {
	case !begins || !ends || !iv || !tag || !typed:
		return "", "is not encrypted or is damaged: it begins with ENC[ and does not go on like a value of sops"
	case !isBase64(data, -1) || data == "" || !isBase64(nonce, nonceSize) || !isBase64(sum, tagSize):
		return "", "is damaged: its base64 is not whole"
	case !formTypes[kind]:
		return "", "is damaged: a value of sops of no known type"
	}
	return kind, ""
}

// isBase64 reports whether text is base64 on one line, of size bytes when that
// is not negative.
func isBase64(text string, size int) bool {
	if strings.ContainsAny(text, "\r\n") {
		return false // which the decoder passes over
	}
	b, err := base64.StdEncoding.DecodeString(text)
	return err == nil && (size < 0 || len(b) == size)
}
