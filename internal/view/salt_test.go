package view

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestSalt_IsNeverPrinted(t *testing.T) {
	def := Definition{Name: "v", Masking: map[string]Mask{"email": {Kind: "hash", Salt: Salt("attack at dawn, 16")}}}
	j, err := json.Marshal(def)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprint(def), fmt.Sprintf("%+v", def), fmt.Sprintf("%#v", def), fmt.Sprintf("%s %q %x", def.Masking["email"].Salt, def.Masking["email"].Salt, def.Masking["email"].Salt), string(j)} {
		if strings.Contains(text, "dawn") || strings.Contains(text, fmt.Sprintf("%x", "dawn")) || strings.Contains(text, "97, 116") || strings.Contains(text, "0x61, 0x74") {
			t.Errorf("the salt shows in %s", text)
		}
		if !strings.Contains(text, "***") {
			t.Errorf("no *** in its place in %s", text)
		}
	}
}
