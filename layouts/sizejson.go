package layouts

import "encoding/json"

// UnmarshalJSON reads the number of bytes that JSON has: text with a unit is
// for people, in TOML.
func (s *Size) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, (*int64)(s))
}
