package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// envelope is the one JSON object that a verb prints with -o json.
type envelope struct {
	Command string `json:"command"`
	OK      bool   `json:"ok"`
	Summary string `json:"summary"`
	Result  any    `json:"result"`
	Error   *fault `json:"error"`
}

// fault is an error in an envelope.
type fault struct {
	Code       string `json:"code"`
	Message    string `json:"message"`
	Path       string `json:"path,omitempty"`
	Line       int    `json:"line,omitempty"`
	Column     int    `json:"column,omitempty"`
	Suggestion string `json:"suggestion,omitempty"`
	Fix        string `json:"fix,omitempty"`
}

func writeEnvelope(w io.Writer, e envelope) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(e)
}

// failWithEnvelope ends a verb that came to no result. With -o json the error is
// on standard output too, as the envelope that a result would have had.
func failWithEnvelope(w io.Writer, e envelope, code int, err error) error {
	e.Error.Message = err.Error()
	if werr := writeEnvelope(w, e); werr != nil {
		return failWith(exitFailure, errors.Join(err, werr))
	}
	return failWith(code, err)
}

// outputFlag is the flag -o of every verb.
type outputFlag struct {
	format string
	asJSON bool
}

func (o *outputFlag) register(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.format, "output", "o", "text", "text or json")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "short for -o json")
	before := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if o.format != "text" && o.format != "json" {
			return failWith(exitUsage, fmt.Errorf("output %q: use text or json", o.format))
		}
		if before != nil {
			return before(cmd, args)
		}
		return nil
	}
}

func (o *outputFlag) json() bool { return o.asJSON || o.format == "json" }
